/** How do I do it by hand? Commands as `aether admin` takes them, with what they are asked with under the line that is being typed. */

import { useQueryClient } from '@tanstack/react-query';
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from 'react';
import { type CommandHelp, readHelp } from '../../client/admin/commands';
import { hubError, Reading, useAsk, useDesk, useWhy } from '../../components/dashboard/desk';
import { Icon } from '../../components/Icon';
import { useWords } from '../../components/words';
import { timeOfDay } from '../../lib/format';
import { useInAddress, useMedia } from '../../lib/hooks';
import { visibleJson } from '../../lib/text';
import { type Answered, History, type Line, newestRows, suggestions, understood } from './console_model';
import './console.css';

/** Lines that can be scrolled back through. */
const LINES_MAX = 200;

export default function Console() {
  const { t } = useWords();
  const asked = useAsk(['help'], readHelp);
  return (
    <Reading asked={asked} title={t('console.failed')} right="metrics.read">
      {(commands) => <Known commands={commands} />}
    </Reading>
  );
}

function Known({ commands }: { commands: readonly CommandHelp[] }) {
  const { t } = useWords();
  const { admin, user } = useDesk();
  const why = useWhy();
  const queries = useQueryClient();
  const isPhone = useMedia('(max-width: 640px)');
  const [wanted] = useInAddress('command');
  const [typed, setTyped] = useState(wanted === '' ? '' : `${wanted} `);
  const [lines, setLines] = useState<readonly Line[]>([]);
  const [at, setAt] = useState(0);
  const [confirming, setConfirming] = useState<{
    readonly source: string;
    readonly command: CommandHelp;
    readonly values: object;
  } | null>(null);
  const history = useRef(new History());
  const input = useRef<HTMLInputElement>(null);
  const end = useRef<HTMLDivElement>(null);
  const number = useRef(0);

  useEffect(() => void input.current?.focus({ preventScroll: true }), []);
  useEffect(() => {
    if (wanted !== '') setTyped(`${wanted} `);
  }, [wanted]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is new is at the end.
  useEffect(() => {
    // Braces: what it returns, a promise in newer browsers, is no way to clean up.
    end.current?.scrollIntoView({ block: 'nearest' });
  }, [lines, confirming]);

  const found = useMemo(() => suggestions(typed, commands), [typed, commands]);
  const command = useMemo(
    () => commands.find(({ name }) => name === typed.trimStart().split(/\s/)[0]) ?? null,
    [typed, commands],
  );

  const print = (line: Line) => setLines((before) => [...before, line].slice(-LINES_MAX));
  const replace = (id: number, answer: Answered) =>
    setLines((before) => before.map((line) => (line.id === id ? { ...line, answer } : line)));

  const run = async (source: string, name: string, values: object) => {
    const id = ++number.current;
    print({ id, atMs: Date.now(), source, answer: { kind: 'waiting' } });
    try {
      const answer = await admin.ask(name, { ...values }, (value) => ({ value }));
      replace(id, { kind: 'answer', value: answer.value });
      void queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'help' });
    } catch (error) {
      replace(id, { kind: 'failed', why: why(hubError(error)), code: hubError(error).code });
    }
  };

  const submit = () => {
    const source = typed.trim();
    if (source === '') return;
    history.current.add(source);
    setTyped('');
    setAt(0);
    if (source === 'clear') {
      setLines([]);
      return;
    }
    const read = understood(source, commands);
    if (!read.ok) {
      print({
        id: ++number.current,
        atMs: Date.now(),
        source,
        answer: { kind: 'failed', why: t(`console.wrong.${read.why}`, { what: read.what }), code: 0 },
      });
      return;
    }
    if (read.command.needsConfirm && read.values['confirm'] !== true) {
      setConfirming({ source, command: read.command, values: read.values });
      return;
    }
    void run(source, read.command.name, read.values);
  };

  const complete = () => {
    const chosen = found[Math.min(at, found.length - 1)];
    if (chosen === undefined) return;
    setTyped(chosen.line);
    setAt(0);
    input.current?.focus();
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Tab' && !event.shiftKey && found.length > 0 && typed !== '') {
      event.preventDefault();
      complete();
    } else if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
      const line = event.key === 'ArrowUp' ? history.current.before(typed) : history.current.after();
      if (line === null) return;
      event.preventDefault();
      setTyped(line);
    } else if (event.key === 'Escape') setTyped('');
    else if (event.key === 'c' && event.ctrlKey && getSelection()?.isCollapsed !== false) setTyped('');
    else if (event.key === 'l' && event.ctrlKey) {
      event.preventDefault();
      setLines([]);
    }
  };

  return (
    <div className="console">
      <section className="panel console-main" aria-label={t('view.console')}>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard. */}
        <div className="console-log" role="log" aria-label={t('console.log')} tabIndex={0}>
          {lines.length === 0 && confirming === null && <p className="t3">{t('console.empty')}</p>}
          {lines.map((line) => (
            <Entry key={line.id} line={line} user={user.name} />
          ))}
          {confirming !== null && (
            <Confirming
              command={confirming.command}
              source={confirming.source}
              onDone={(isYes) => {
                setConfirming(null);
                if (isYes) void run(confirming.source, confirming.command.name, { ...confirming.values, confirm: true });
                input.current?.focus();
              }}
            />
          )}
          <div ref={end} />
        </div>
        <form
          className="console-prompt"
          onSubmit={(event) => {
            event.preventDefault();
            submit();
          }}
        >
          <span aria-hidden="true">›</span>
          <input
            ref={input}
            className="mono"
            aria-label={t('console.prompt')}
            placeholder={t('console.prompt')}
            value={typed}
            maxLength={4_000}
            autoComplete="off"
            autoCapitalize="none"
            spellCheck={false}
            onChange={(event) => {
              setTyped(event.target.value);
              setAt(0);
            }}
            onKeyDown={onKeyDown}
          />
          <button type="submit" className="button is-primary" disabled={typed.trim() === ''}>
            {t('console.run')}
          </button>
        </form>
        {isPhone && (
          <div className="console-keys">
            <button type="button" className="button" onClick={complete} disabled={found.length === 0}>
              Tab
            </button>
            <button
              type="button"
              className="button"
              aria-label={t('console.before')}
              onClick={() => setTyped(history.current.before(typed) ?? typed)}
            >
              ↑
            </button>
            <button
              type="button"
              className="button"
              aria-label={t('console.after')}
              onClick={() => setTyped(history.current.after() ?? typed)}
            >
              ↓
            </button>
            <button type="button" className="button" onClick={() => setTyped('')}>
              Esc
            </button>
          </div>
        )}
        {found.length > 0 && typed !== '' && (
          <ul className="console-found" aria-label={t('console.completions')}>
            {found.map((one, index) => (
              <li key={one.line}>
                <button
                  type="button"
                  tabIndex={-1}
                  aria-current={index === Math.min(at, found.length - 1) ? 'true' : undefined}
                  onClick={() => {
                    setTyped(one.line);
                    input.current?.focus();
                  }}
                >
                  <b className="mono">{one.text}</b>
                  <span>{one.help}</span>
                </button>
              </li>
            ))}
          </ul>
        )}
      </section>
      <Help
        command={command}
        commands={commands}
        onChoose={(name) => {
          setTyped(`${name} `);
          input.current?.focus();
        }}
      />
    </div>
  );
}

function Entry({ line, user }: { line: Line; user: string }) {
  const { t } = useWords();
  const { answer } = line;
  return (
    <div className="console-entry">
      <p className="console-asked">
        <time>{timeOfDay(line.atMs)}</time>
        <span className="sr-only">{user}</span>
        <b className="mono">{line.source}</b>
      </p>
      {answer.kind === 'waiting' && <p className="t3">{t('console.waiting')}</p>}
      {answer.kind === 'failed' && (
        <p className="is-crit-text">
          {answer.why}
          {answer.code >= 100 && <span className="t3"> ({answer.code})</span>}
        </p>
      )}
      {answer.kind === 'answer' && <Answer value={answer.value} />}
    </div>
  );
}

function Answer({ value }: { value: unknown }) {
  const { t } = useWords();
  const [said, setSaid] = useState<'copy' | 'copied' | 'copyFailed'>('copy');
  const text = JSON.stringify(value, null, 2);
  const rows = newestRows(value);
  const copy = () => {
    navigator.clipboard.writeText(text).then(
      () => setSaid('copied'),
      () => setSaid('copyFailed'),
    );
  };
  return (
    <div className="console-answer">
      {text !== '{}' && (
        <button type="button" className="button is-quiet console-copy" onClick={copy}>
          <Icon name="copy" />
          {t(`snippet.${said}`)}
        </button>
      )}
      {text === '{}' ? (
        <p className="is-ok-text">{t('console.done')}</p>
      ) : rows === null ? (
        <pre className="block">{visibleJson(value)}</pre>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard.
        <div className="console-table" tabIndex={0} role="region" aria-label={t('console.answer')}>
          <table>
            <thead>
              <tr>
                {rows.head.map((name) => (
                  <th key={name} scope="col">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.rows.map((cells, row) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: an answer does not change.
                <tr key={row}>
                  {cells.map((cell, column) => (
                    <td key={rows.head[column]} className={rows.isNumber[column] === true ? 'is-number' : undefined}>
                      {cell}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
          {rows.rest !== '' && <p className="t3 mono">{rows.rest}</p>}
        </div>
      )}
    </div>
  );
}

/** What cannot be taken back is asked about in line, and done by a word that nobody types by accident. */
function Confirming({ command, source, onDone }: { command: CommandHelp; source: string; onDone: (isYes: boolean) => void }) {
  const { t } = useWords();
  const [typed, setTyped] = useState('');
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => void input.current?.focus(), []);
  return (
    <form
      className="console-confirm"
      onSubmit={(event) => {
        event.preventDefault();
        if (typed === command.name) onDone(true);
      }}
    >
      <p>
        <b className="mono">{source}</b>
      </p>
      <p>{command.summary}</p>
      <label htmlFor="console-confirm">{t('console.confirm', { name: command.name })}</label>
      <div className="form-row">
        <input
          ref={input}
          id="console-confirm"
          className="input mono"
          value={typed}
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => setTyped(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Escape') onDone(false);
          }}
        />
        <button type="submit" className="button is-danger" disabled={typed !== command.name}>
          {t('console.run')}
        </button>
        <button type="button" className="button" onClick={() => onDone(false)}>
          {t('action.cancel')}
        </button>
      </div>
    </form>
  );
}

function Help({
  command,
  commands,
  onChoose,
}: {
  command: CommandHelp | null;
  commands: readonly CommandHelp[];
  onChoose: (name: string) => void;
}) {
  const { t } = useWords();
  if (command === null)
    return (
      <aside className="panel console-help" aria-label={t('console.help')}>
        <div className="panel-head">
          <h2>{t('console.help')}</h2>
          <span className="panel-scope">{t('console.commands', { n: commands.length })}</span>
        </div>
        <ul>
          {commands.map((one) => (
            <li key={one.name}>
              <button type="button" onClick={() => onChoose(one.name)}>
                <b className="mono">{one.name}</b>
                <span>{one.summary}</span>
              </button>
            </li>
          ))}
        </ul>
      </aside>
    );
  const example = Object.entries(command.example)
    .map(([name, value]) =>
      value === true
        ? `--${name}`
        : `--${name} ${typeof value === 'string' && !/[\s"']/.test(value) ? value : JSON.stringify(value)}`,
    )
    .join(' ');
  return (
    <aside className="panel console-help" aria-label={t('console.help')}>
      <div className="panel-head">
        <h2 className="mono">{command.name}</h2>
        <span className="panel-scope">{command.right ?? t('console.anyRole')}</span>
      </div>
      <p className="t2">{command.summary}</p>
      {command.needsConfirm && <p className="is-warn-text">{t('console.dangerous')}</p>}
      {command.arguments.filter(({ name }) => name !== 'confirm').length > 0 && (
        <dl className="console-arguments">
          {command.arguments
            .filter(({ name }) => name !== 'confirm')
            .map((argument) => (
              <div key={argument.name}>
                <dt>
                  <span className="mono">--{argument.name}</span>
                  {argument.isRequired && <span className="chip">{t('console.required')}</span>}
                </dt>
                <dd>{argument.help}</dd>
              </div>
            ))}
        </dl>
      )}
      <p className="t3">{t('console.example')}</p>
      <pre className="block">{`${command.name} ${example}`.trim()}</pre>
    </aside>
  );
}
