/** The panels that the overview can show: which there are, how wide each is, which are there at first, and which limits of the reader's own they know. */

/** Of twelve columns. */
export type PanelWidth = 3 | 4;

export interface PanelKind {
  readonly width: PanelWidth;
  /** It is there before anybody has chosen. */
  readonly isFirst: boolean;
  /** What a limit of the reader's own is about. */
  readonly limit: LimitUnit | null;
}

export type LimitUnit = 'ms' | '%' | 'MiB' | '/s' | '/min' | '/h';

const kind = (width: PanelWidth, isFirst: boolean, limit: LimitUnit | null = null): PanelKind => ({ width, isFirst, limit });

export const PANELS = {
  delivered: kind(4, true),
  latency: kind(4, true, 'ms'),
  sessions: kind(4, true),
  objectives: kind(4, true),
  pool: kind(4, true),
  closed: kind(4, true, '/min'),
  cpu: kind(3, true, '%'),
  memory: kind(3, true, 'MiB'),
  lag: kind(3, true, 'ms'),
  happened: kind(3, true),
  feeds: kind(4, false),
  errors: kind(4, false, '/s'),
  recoveries: kind(4, false),
  descriptors: kind(3, false, '%'),
  store: kind(3, false, 'ms'),
  waiting: kind(3, false, 'MiB'),
  canaries: kind(3, false, '/s'),
  host: kind(3, false, '%'),
  sockets: kind(3, false, 'MiB'),
  leak: kind(3, false, 'MiB'),
} as const satisfies Record<string, PanelKind>;

export type PanelId = keyof typeof PANELS;

export const PANEL_IDS = Object.keys(PANELS) as readonly PanelId[];
export const FIRST_PANELS: readonly PanelId[] = PANEL_IDS.filter((id) => PANELS[id].isFirst);
export const LIMITED_PANELS: readonly PanelId[] = PANEL_IDS.filter((id) => PANELS[id].limit !== null);

/** Limits of the reader's own: beyond them a panel says so. */
export type Limits = Readonly<Partial<Record<PanelId, number>>>;

const LIMIT_MAX = 1e9;

function isPanel(value: unknown): value is PanelId {
  return typeof value === 'string' && Object.hasOwn(PANELS, value);
}

/** Whatever was kept, it becomes a list of panels, each once; `null`: nobody has chosen. */
export function panelsIn(value: unknown): readonly PanelId[] | null {
  return Array.isArray(value) ? [...new Set(value.filter(isPanel))] : null;
}

export function limitIn(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 && value <= LIMIT_MAX ? value : null;
}

export function limitsIn(value: unknown): Limits {
  if (typeof value !== 'object' || value === null) return {};
  const limits: Partial<Record<PanelId, number>> = {};
  for (const [id, one] of Object.entries(value)) {
    const limit = limitIn(one);
    if (isPanel(id) && PANELS[id].limit !== null && limit !== null) limits[id] = limit;
  }
  return limits;
}

/** The list with `one` where `other` was; everything between them makes room. */
export function moved(panels: readonly PanelId[], one: PanelId, other: PanelId): readonly PanelId[] {
  const [from, to] = [panels.indexOf(one), panels.indexOf(other)];
  if (from < 0 || to < 0 || from === to) return panels;
  const rest = panels.filter((id) => id !== one);
  return [...rest.slice(0, to), one, ...rest.slice(to)];
}
