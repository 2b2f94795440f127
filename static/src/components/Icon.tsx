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
  overview: 'M2.5 2.5h4.6v4.6H2.5zM8.9 2.5h4.6v4.6H8.9zM2.5 8.9h4.6v4.6H2.5zM8.9 8.9h4.6v4.6H8.9z',
  channels: 'M6 2 4.7 14M11.3 2 10 14M2.4 5.6h11.4M2.2 10.4h11.4',
  upstreams: 'M8 2v7.6M4.8 6.6 8 9.8l3.2-3.2M2.4 13.6h11.2',
  alerts: 'M8 2.2c2.3 0 3.8 1.7 3.8 4 0 2.9 1.2 3.7 1.2 4.8H3c0-1.1 1.2-1.9 1.2-4.8 0-2.3 1.5-4 3.8-4ZM6.6 13.6h2.8',
  reports: 'M4 1.9h5.3L12.6 5.2v8.9H4zM6.4 8h4M6.4 10.8h4',
  audit: 'M8 1.9 13 3.7v4c0 3.2-2.1 5.4-5 6.4-2.9-1-5-3.2-5-6.4v-4zM5.8 8l1.6 1.6 2.9-3',
  console: 'M2 3h12v10H2zM4.6 6.2 6.6 8l-2 1.8M8.4 10h3',
  access: 'M10.3 9.2a3.5 3.5 0 1 0-3.5-3.5c0 .5.1 1 .3 1.4L2.4 11.8v2h2.4v-1.6h1.7v-1.7l1.7-1.6c.6.2 1.3.3 2.1.3ZM11.2 4.9h0',
  nodes: 'M2.4 3h11.2v4H2.4zM2.4 9h11.2v4H2.4zM5 5h0M5 11h0M8 5h3M8 11h3',
  settings:
    'M2.4 4.6h6M12 4.6h1.6M2.4 11.4H4M7.6 11.4h6M10.2 6.4a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6ZM5.8 13.2a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6Z',
  plus: 'M8 3v10M3 8h10',
  more: 'M3.4 8h.01M8 8h.01M12.6 8h.01',
  rotate: 'M13 8a5 5 0 1 1-1.6-3.7M13 2.4v2.8h-2.8',
  right: 'M6 3.5 10.5 8 6 12.5',
  left: 'M10 3.5 5.5 8l4.5 4.5',
  down: 'M3.5 6 8 10.5 12.5 6',
  up: 'M3.5 10 8 5.5l4.5 4.5',
  grip: 'M6 4h.01M10 4h.01M6 8h.01M10 8h.01M6 12h.01M10 12h.01',
  hide: 'M2 8s2.2-4 6-4 6 4 6 4-2.2 4-6 4-6-4-6-4ZM2.8 13.2 13.2 2.8',
  doctor: 'M1.8 8.4h3l1.6-4.2 3 8 1.7-3.8h3.1',
  print: 'M4.5 6V2.4h7V6M4.5 11.5h-2V6h11v5.5h-2M4.5 9.5h7v4.1h-7z',
  download: 'M8 2.4v7M5 6.6l3 3 3-3M2.6 13.4h10.8',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

export type Status = 'ok' | 'info' | 'warn' | 'crit' | 'down' | 'move' | 'off' | 'parked';

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
  down: (
    <g fill="none" stroke="currentColor" strokeWidth="1.6">
      <circle cx="6" cy="6" r="4.6" />
      <path d="M3.6 6h4.8" />
    </g>
  ),
  parked: <path d="M3.6 2.4v7.2M8.4 2.4v7.2" fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinecap="round" />,
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
