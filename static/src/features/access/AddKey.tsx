import { useState } from 'react';
import { addKey } from '../../client/admin/people';
import { Ask, Once } from '../../components/dashboard/Ask';
import { useTell } from '../../components/dashboard/desk';
import { TextField } from '../../components/dashboard/TextField';
import { useWords } from '../../components/words';
import { visible } from '../../lib/text';
import { listIn } from './access_model';

const LASTING = ['720h', '2160h', '8760h', ''] as const;

export function AddKey({ onClose }: { onClose: () => void }) {
  const { t } = useWords();
  const [name, setName] = useState('');
  const [methods, setMethods] = useState('publish');
  const [namespaces, setNamespaces] = useState('');
  const [lasting, setLasting] = useState<string>('2160h');
  const [made, setMade] = useState<string | null>(null);
  const add = useTell(
    (admin) =>
      addKey(admin, {
        name: name.trim(),
        methods: listIn(methods),
        namespaces: listIn(namespaces),
        lasting: lasting === '' ? null : lasting,
      }),
    { changes: [['keys']], done: () => null, onDone: setMade },
  );
  if (made !== null)
    return (
      <Once title={t('access.keyMade', { name: visible(name.trim()) })} text={t('once.text')} secret={made} onClose={onClose} />
    );
  return (
    <Ask
      title={t('access.addKey')}
      verb={t('access.addKeyVerb')}
      isWide
      isBusy={add.isBusy}
      canDo={/^[\w.-]{1,64}$/.test(name.trim())}
      error={add.error}
      onDone={() => add.run(undefined)}
      onClose={onClose}
    >
      <p>{t('access.addKeyText')}</p>
      <div className="form">
        <TextField id="key-name" label={t('access.name')} value={name} maxLength={64} onText={setName} />
        <TextField
          id="key-methods"
          label={t('access.methods')}
          isMono
          value={methods}
          placeholder={t('access.allMethods')}
          onText={setMethods}
        />
        <TextField
          id="key-namespaces"
          label={t('access.namespaces')}
          isMono
          value={namespaces}
          placeholder={t('access.allNamespaces')}
          onText={setNamespaces}
        />
        <div className="field">
          <label htmlFor="key-lasting">{t('access.lasting')}</label>
          <select id="key-lasting" className="input" value={lasting} onChange={(event) => setLasting(event.target.value)}>
            {LASTING.map((one) => (
              <option key={one} value={one}>
                {one === '' ? t('access.forEver') : t('access.days', { n: Number.parseInt(one, 10) / 24 })}
              </option>
            ))}
          </select>
        </div>
      </div>
    </Ask>
  );
}
