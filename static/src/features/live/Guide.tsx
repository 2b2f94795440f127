import type { LiveConfig } from '../../client/config';
import { Code } from '../../components/Code';
import { Tabs } from '../../components/Tabs';
import { useWords } from '../../components/words';
import { browser, curl, go, node, nodeSend, python } from './snippets';

/** How to use it from one's own code. */
export function Snippets({ config }: { config: LiveConfig }) {
  const words = useWords();
  const { t } = words;
  return (
    <div className="halves">
      <section className="panel" aria-label={t('receive.title')}>
        <Tabs
          label={t('receive.title')}
          tabs={[
            { id: 'browser', label: t('receive.browser'), content: <Code key="browser" source={browser(config)} /> },
            { id: 'node', label: t('receive.node'), content: <Code key="node" source={node(config, words)} /> },
            { id: 'python', label: t('receive.python'), content: <Code key="python" source={python(config)} /> },
            { id: 'go', label: t('receive.go'), content: <Code key="go" source={go(config)} /> },
          ]}
        />
      </section>
      <section className="panel" aria-label={t('send.title')}>
        <Tabs
          label={t('send.title')}
          tabs={[
            { id: 'curl', label: t('send.curl'), content: <Code key="curl" source={curl(config, words)} /> },
            { id: 'node', label: t('send.node'), content: <Code key="node" source={nodeSend(config, words)} /> },
          ]}
        />
      </section>
    </div>
  );
}

/** What to do next. */
export function Steps() {
  const { t } = useWords();
  return (
    <section aria-label={t('steps.title')}>
      <ol className="steps">
        <li>
          <h2>{t('steps.feed')}</h2>
          <p>{t('steps.feedText')}</p>
        </li>
        <li>
          <h2>{t('steps.app')}</h2>
          <p>{t('steps.appText')}</p>
        </li>
        <li>
          <h2>{t('steps.watch')}</h2>
          <p>{t('steps.watchText')}</p>
        </li>
      </ol>
    </section>
  );
}
