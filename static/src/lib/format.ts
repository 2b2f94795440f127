/** Numbers, sizes and times as the page writes them. A unit follows after a narrow no-break space; unknown is an en dash, zero is `0`. */

const NARROW = '\u202f';
export const UNKNOWN = '\u2013';

export interface Format {
  /** A whole number, thousands apart. */
  count(value: number | null): string;
  /** Up to 99 999 exact, beyond it three digits and k, M or G. */
  short(value: number | null): string;
  decimal(value: number | null, digits: number): string;
  /** With the decimals that it has, six at most. */
  exact(value: number): string;
  /** Below 1 ms and 10 ms one decimal, then none, from 1 s in seconds. */
  latency(ms: number | null): string;
  perSecond(value: number | null): string;
  bytes(value: number | null): string;
  /** At most two units. */
  age(ms: number): string;
  /** What was measured: whole milliseconds below a second, tenths of seconds below two minutes, then like an age. */
  duration(ms: number): string;
  /** 14:07 today, `Tue 09:12` within a week, else with the date, and the year if it is another; in the reader's zone. */
  when(ms: number | null, nowMs: number): string;
  /** Like `when`, with seconds. */
  moment(ms: number, nowMs: number): string;
  /** Of one: 0.99998 is 99.998 %, with the nines that matter. */
  share(value: number | null): string;
}

export function createFormat(language: string): Format {
  // English follows the neutral format: thousands by a narrow space, a decimal point.
  const isNeutral = /^en\b/.test(language);
  const formatters = new Map<number, Intl.NumberFormat>();
  const decimal = (value: number | null, digits: number): string => {
    if (value === null || !Number.isFinite(value)) return UNKNOWN;
    let formatter = formatters.get(digits);
    if (formatter === undefined) {
      formatter = new Intl.NumberFormat(isNeutral ? 'en' : language, {
        minimumFractionDigits: digits,
        maximumFractionDigits: digits,
        signDisplay: 'negative',
      });
      formatters.set(digits, formatter);
    }
    const text = formatter.format(value);
    return isNeutral ? text.replaceAll(',', NARROW) : text;
  };
  const scaled = (value: number, step: number, units: readonly string[]): string => {
    let at = 0;
    let rest = value;
    // 999.5 would be printed as 1000: the next unit begins there.
    while (rest >= step - 0.5 && at < units.length - 1) {
      rest /= step;
      at += 1;
    }
    const digits = at === 0 || rest >= 99.95 ? 0 : rest >= 9.995 ? 1 : 2;
    return `${decimal(rest, digits)}${NARROW}${units[at] ?? ''}`.trimEnd();
  };
  const dates = new Map<string, Intl.DateTimeFormat>();
  const date = (kind: keyof typeof DATES, ms: number): string => {
    let formatter = dates.get(kind);
    if (formatter === undefined) {
      formatter = new Intl.DateTimeFormat(isNeutral ? 'en-GB' : language, DATES[kind]);
      dates.set(kind, formatter);
    }
    return formatter.format(ms);
  };
  const latency = (ms: number | null): string => {
    if (ms === null || !Number.isFinite(ms)) return UNKNOWN;
    if (ms === 0) return `0${NARROW}ms`;
    if (ms < 9.95) return `${decimal(Math.max(0, ms), 1)}${NARROW}ms`;
    if (ms < 999.5) return `${decimal(ms, 0)}${NARROW}ms`;
    return `${decimal(ms / 1000, 1)}${NARROW}s`;
  };
  const dayOf = (ms: number, nowMs: number): string => {
    const [day, now] = [new Date(ms), new Date(nowMs)];
    if (day.toDateString() === now.toDateString()) return '';
    if (ms < nowMs && nowMs - ms < 6 * 86_400_000) return `${date('weekday', ms)} `;
    return `${date(day.getFullYear() === now.getFullYear() ? 'day' : 'year', ms)} `;
  };
  const age = (ms: number): string => {
    const seconds = Math.max(0, Math.floor(ms / 1000));
    const parts: [number, string][] = [
      [Math.floor(seconds / 86_400), 'd'],
      [Math.floor(seconds / 3_600) % 24, 'h'],
      [Math.floor(seconds / 60) % 60, 'min'],
      [seconds % 60, 's'],
    ];
    const first = parts.findIndex(([value]) => value > 0);
    if (first < 0) return `0${NARROW}s`;
    return parts
      .slice(first, first + 2)
      .filter(([value]) => value > 0)
      .map(([value, unit]) => `${value}${NARROW}${unit}`)
      .join(' ');
  };
  return {
    exact: (value) => decimal(value, Math.min(6, String(value).split('.')[1]?.length ?? 0)),
    moment: (ms, nowMs) => `${dayOf(ms, nowMs)}${timeOfDay(ms)}`,
    share: (value) => {
      if (value === null || !Number.isFinite(value)) return UNKNOWN;
      const percent = value * 100;
      // As many digits as there are nines: never rounded up to a whole that it is not.
      const digits = percent >= 100 || percent <= 0 ? 0 : percent > 99.99 ? 3 : percent > 99 ? 2 : 1;
      const least = 10 ** -digits;
      const shown = percent < 100 && percent > 100 - least / 2 ? 100 - least : percent;
      return `${decimal(shown, digits)}${NARROW}%`;
    },
    count: (value) => decimal(value, 0),
    short: (value) => (value === null || value <= 99_999 ? decimal(value, 0) : scaled(value, 1000, ['', 'k', 'M', 'G', 'T'])),
    decimal,
    latency,
    perSecond: (value) => {
      if (value === null) return UNKNOWN;
      if (value > 99_999) return scaled(value, 1000, ['', 'k', 'M', 'G', 'T']);
      return decimal(value, value === 0 || value >= 99.95 ? 0 : 1);
    },
    bytes: (value) =>
      value === null || !Number.isFinite(value) ? UNKNOWN : scaled(Math.max(0, value), 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB']),
    age,
    duration: (ms) => {
      if (ms < 1_000) return `${decimal(ms, 0)}${NARROW}ms`;
      return ms < 120_000 ? `${decimal(ms / 1_000, 1)}${NARROW}s` : age(ms);
    },
    when: (ms, nowMs) => {
      // Beyond this there are no dates (ECMAScript, 21.4.1.1).
      if (ms === null || !(Math.abs(ms) <= 8.64e15)) return UNKNOWN;
      const [day, now] = [new Date(ms), new Date(nowMs)];
      const time = timeOfDay(ms).slice(0, 5);
      if (day.toDateString() === now.toDateString()) return time;
      if (ms < nowMs && nowMs - ms < 6 * 86_400_000) return `${date('weekday', ms)} ${time}`;
      return day.getFullYear() === now.getFullYear() ? `${date('day', ms)} ${time}` : date('year', ms);
    },
  };
}

const DATES = {
  weekday: { weekday: 'short' },
  day: { day: 'numeric', month: 'short' },
  year: { day: 'numeric', month: 'short', year: 'numeric' },
} as const satisfies Record<string, Intl.DateTimeFormatOptions>;

const two = (value: number): string => String(value).padStart(2, '0');

/** 14:07:43, in the reader's zone. */
export function timeOfDay(ms: number): string {
  const date = new Date(ms);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** 14:07:43.21 for lists where several lines fall into a second. */
export function timeOfDayFine(ms: number): string {
  return `${timeOfDay(ms)}.${two(Math.floor((((ms % 1000) + 1000) % 1000) / 10))}`;
}
