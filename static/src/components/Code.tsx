import { type ReactNode, useEffect, useState } from 'react';
import { Icon } from './Icon';
import { useWords } from './words';

/** How long a button says what it did. */
const SAID_MS = 2_000;

const KEYWORDS = /\b(?:const|new|await|import|from|async|def|func|package|var|for|if|err|nil|with|as)\b/;
const TOKENS = new RegExp(
  String.raw`('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|${'`'}[^${'`'}]*${'`'})|((?<![:\w])(?:\/\/|#)[^\n]*)|(${KEYWORDS.source})`,
  'g',
);

/** A few lines to copy, with their strings, comments and keywords told apart. */
export function Code({ source }: { source: string }) {
  const { t } = useWords();
  const [copied, setCopied] = useState<'idle' | 'done' | 'failed'>('idle');

  useEffect(() => {
    if (copied === 'idle') return;
    const timer = setTimeout(() => setCopied('idle'), SAID_MS);
    return () => clearTimeout(timer);
  }, [copied]);

  // Without a secure context there is no clipboard.
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(source);
      setCopied('done');
    } catch {
      setCopied('failed');
    }
  };

  return (
    <div className="code">
      <button type="button" className="button is-quiet code-copy" onClick={() => void copy()}>
        <Icon name={copied === 'done' ? 'check' : 'copy'} />
        {copied === 'failed' ? t('snippet.copyFailed') : copied === 'done' ? t('snippet.copied') : t('snippet.copy')}
      </button>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls sideways must be reachable by keyboard. */}
      <pre tabIndex={0}>
        <code>{highlighted(source)}</code>
      </pre>
    </div>
  );
}

function highlighted(source: string): ReactNode[] {
  const out: ReactNode[] = [];
  let at = 0;
  for (const match of source.matchAll(TOKENS)) {
    if (match.index > at) out.push(source.slice(at, match.index));
    const kind = match[1] !== undefined ? 'string' : match[2] !== undefined ? 'comment' : 'keyword';
    out.push(
      <span key={match.index} className={`code-${kind}`}>
        {match[0]}
      </span>,
    );
    at = match.index + match[0].length;
  }
  out.push(source.slice(at));
  return out;
}
