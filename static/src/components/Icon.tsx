/** Icons are decoration: the word beside them, or the control's label, says it. */

const PATHS = {
  moon: 'M8 2.4a5.6 5.6 0 1 0 5.6 7.2A4.6 4.6 0 0 1 8 2.4Z',
  send: 'M13.6 2.4 7 9M13.6 2.4 9.4 13.6 7 9 2.4 6.6z',
  pause: 'M5.5 3.5v9M10.5 3.5v9',
  play: 'M4.5 3v10l8-5z',
  search: 'M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM10.4 10.4 13.5 13.5',
  copy: 'M5.5 5.5h7v8h-7zM10.5 3.5v-1h-7v8h1',
  check: 'M3 8.5 6.5 12 13 4.5',
  close: 'M4 4l8 8M12 4l-8 8',
  person: 'M8 7.4a2.6 2.6 0 1 0 0-5.2 2.6 2.6 0 0 0 0 5.2ZM2.8 13.8c.5-2.6 2.5-4 5.2-4s4.7 1.4 5.2 4',
} as const;

export function Icon({ name }: { name: keyof typeof PATHS }) {
  return (
    <svg className="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

export type Status = 'ok' | 'info' | 'warn' | 'crit' | 'move' | 'off';

/** A status is a shape, a word and a colour; this is the shape and the colour. */
export function Glyph({ status }: { status: Status }) {
  return (
    <svg className={`glyph is-${status}`} viewBox="0 0 12 12" aria-hidden="true">
      {SHAPES[status]}
    </svg>
  );
}

const SHAPES = {
  ok: <circle cx="6" cy="6" r="3.5" fill="currentColor" />,
  info: (
    <path
      d="M6 .8a5.2 5.2 0 1 0 0 10.4A5.2 5.2 0 0 0 6 .8ZM5.3 5.1h1.4v3.7H5.3ZM5.3 2.9h1.4v1.4H5.3Z"
      fill="currentColor"
      fillRule="evenodd"
    />
  ),
  warn: <path d="M6 1.2 11.2 10.6H.8Z" fill="currentColor" />,
  crit: <path d="M6 .6 11.4 6 6 11.4.6 6Z" fill="currentColor" />,
  move: <path d="M10.4 6a4.4 4.4 0 1 1-1.6-3.4" fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinecap="round" />,
  off: <circle cx="6" cy="6" r="3.6" fill="none" stroke="currentColor" strokeWidth="1.5" />,
} as const;

/** The motif: one line in, many out. */
export function Logo() {
  return (
    <svg className="logo" viewBox="0 0 24 24" aria-hidden="true">
      <circle cx="4" cy="12" r="2.1" />
      <path d="M8.2 12h12.3M8.2 12c4.6 0 5.2-7 12.3-7M8.2 12c4.6 0 5.2 7 12.3 7" />
    </svg>
  );
}
