import { type KeyboardEvent, useEffect, useRef } from 'react';
import type { DemoFeed } from '../../client/config';
import { Notice, Panel, Skeleton } from '../../components/Panel';
import { reasonOf } from '../../components/reasons';
import { useWords } from '../../components/words';
import { UNKNOWN } from '../../lib/format';
import { write } from '../../lib/frame';
import { useFrame, useSignal } from '../../lib/hooks';
import { visible } from '../../lib/text';
import { theme } from '../../lib/theme';
import type { LiveModel } from './model';
import { PulseChart } from './pulse_chart';
import type { Point } from './pulse_series';

/** Figures change once a second, however fast the feed is. */
const FIGURES_EVERY_MS = 1_000;
/** The sentence that stands for the picture changes rarely, or nobody could listen to it. */
const LABEL_EVERY_MS = 10_000;
const OLD_AFTER_MS = 3_000;

export function Pulse({ model }: { model: LiveModel }) {
  const { t } = useWords();
  const { demo } = model.config;
  if (demo === null)
    return (
      <Panel title={t('pulse.title')} className="pulse">
        <Notice title={t('pulse.offTitle')}>{t('pulse.off')}</Notice>
      </Panel>
    );
  return <Feed model={model} demo={demo} />;
}

function Feed({ model, demo }: { model: LiveModel; demo: DemoFeed }) {
  const words = useWords();
  const { t, format } = words;
  const state = useSignal(model.pulseState);
  const hasPulse = useSignal(model.hasPulse);

  const figure = useRef<HTMLSpanElement>(null);
  const unit = useRef<HTMLElement>(null);
  const received = useRef<HTMLElement>(null);
  const lost = useRef<HTMLElement>(null);
  const delay = useRef<HTMLElement>(null);
  const scope = useRef<HTMLSpanElement>(null);
  const plot = useRef<HTMLDivElement>(null);
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<PulseChart | null>(null);
  const shown = useRef<{
    drawn: (Point | null)[];
    cursor: number | null;
    figuresMs: number;
    labelMs: number;
    version: number;
    edge: number;
  }>({
    drawn: [],
    cursor: null,
    figuresMs: 0,
    labelMs: 0,
    version: -1,
    edge: 0,
  });

  useEffect(() => {
    if (plot.current === null) return;
    const made = new PulseChart(plot.current, (index) => {
      shown.current.cursor = index;
      shown.current.figuresMs = 0;
    });
    chart.current = made;
    const unsubscribe = theme.subscribe(() => made.recolour());
    return () => {
      unsubscribe();
      made.destroy();
      chart.current = null;
    };
  }, []);

  useFrame((now) => {
    const last = shown.current;
    const { pulse } = model;
    const hubNow = model.clock.now();
    // A tenth of a second is the window's step: without one there is nothing to redraw.
    const edge = Math.floor(hubNow / 100);
    if (chart.current !== null && (last.version !== pulse.version || edge !== last.edge) && pulse.points.length > 0) {
      last.version = pulse.version;
      last.edge = edge;
      last.drawn = chart.current.draw(pulse.points, hubNow);
    }
    const pointed = last.cursor === null ? null : (last.drawn[last.cursor] ?? null);
    if (now - last.figuresMs < FIGURES_EVERY_MS && now >= last.figuresMs) return;
    last.figuresMs = now;
    const newest = pulse.points.at(-1) ?? null;
    write(figure.current, format.decimal((pointed ?? newest)?.cpu ?? null, 1));
    write(received.current, format.short(pulse.received));
    write(lost.current, format.short(pulse.lost));
    const error = model.clock.errorMs();
    write(delay.current, error === null ? UNKNOWN : format.latency(pulse.delayMs()));
    if (delay.current !== null)
      delay.current.title = error === null ? t('pulse.delayUnknown') : t('pulse.delayTitle', { error: format.latency(error) });
    const age = model.pulseUpdatedMs === null ? 0 : now - model.pulseUpdatedMs;
    const isOld = age > OLD_AFTER_MS;
    const point = pointed ?? (isOld ? newest : null);
    write(unit.current, point === null ? t('pulse.unit') : t('pulse.ago', { age: format.age(hubNow - point.t) }));
    write(scope.current, isOld ? t('status.old', { age: format.age(age) }) : t('pulse.scope'));
    scope.current?.classList.toggle('is-warn', isOld);
    plot.current?.classList.toggle('is-stale', isOld);
    write(host.current, hostText());
    if (now - last.labelMs > LABEL_EVERY_MS && plot.current !== null) {
      last.labelMs = now;
      const bounds = pulse.bounds();
      const label =
        bounds === null
          ? t('pulse.labelEmpty')
          : t('pulse.label', {
              low: format.decimal(bounds.low, 0),
              high: format.decimal(bounds.high, 0),
              now: format.decimal(bounds.now, 0),
            });
      plot.current.setAttribute('aria-label', label);
    }
  });

  const hostText = (): string => {
    const figures = model.host;
    if (figures === null) return '\u00a0';
    const { memoryUsed, memoryTotal, networkIn, networkOut, diskRead, diskWritten } = figures;
    return [
      `${t('pulse.memory')} ${t('pulse.of', { used: format.bytes(memoryUsed), total: format.bytes(memoryTotal) })}`,
      `${t('pulse.network')} ${t('pulse.inOut', { in: format.bytes(networkIn), out: format.bytes(networkOut) })}`,
      `${t('pulse.disk')} ${t('pulse.readWrite', { read: format.bytes(diskRead), write: format.bytes(diskWritten) })}`,
    ]
      .map((part) => part.replaceAll(' ', '\u00a0'))
      .join('\u2003');
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const { drawn, cursor } = shown.current;
    const end = drawn.length - 1;
    const at = cursor ?? end;
    const to = { ArrowLeft: Math.max(0, at - 1), ArrowRight: Math.min(end, at + 1), Home: 0, End: end, Escape: null }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    chart.current?.point(to);
  };

  return (
    <Panel
      title={<bdi>{visible(demo.channel)}</bdi>}
      scope={
        <span ref={scope} className="pulse-scope">
          {t('pulse.scope')}
        </span>
      }
      className="pulse"
    >
      <div className="pulse-figures">
        <span className="figure">
          <span ref={figure} className="figure-value">
            {UNKNOWN}
          </span>
          <small ref={unit}>{t('pulse.unit')}</small>
        </span>
        <span className="legend">
          <span>
            {t('pulse.received')} <b ref={received}>0</b>
          </span>
          <span title={t('pulse.lostTitle')}>
            {t('pulse.lost')} <b ref={lost}>0</b>
          </span>
          <span>
            {t('pulse.delay')}{' '}
            <b ref={delay} className="pulse-delay">
              {UNKNOWN}
            </b>
          </span>
        </span>
      </div>
      <div className="pulse-chart">
        <div className="axis-y" aria-hidden="true">
          <span>100</span>
          <span>50</span>
          <span>0</span>
        </div>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the arrow keys move the crosshair. */}
        <div ref={plot} className="plot" role="img" aria-label={t('pulse.labelEmpty')} tabIndex={0} onKeyDown={onKeyDown} />
        <div className="axis-x" aria-hidden="true">
          <span>{t('pulse.axisStart')}</span>
          <span>45</span>
          <span>30</span>
          <span>15</span>
          <span>{t('pulse.axisEnd')}</span>
        </div>
        {!hasPulse && state.kind === 'refused' && (
          <div className="plot-notice">
            <Notice title={t('pulse.refusedTitle')}>
              {t('refused.says', { reason: reasonOf(state.code, state.reason, words) })}
            </Notice>
          </div>
        )}
        {!hasPulse && state.kind === 'subscribed' && (
          <div className="plot-notice">
            <Notice title={t('pulse.waitingTitle')}>{t('pulse.waiting')}</Notice>
          </div>
        )}
        {!hasPulse && state.kind === 'subscribing' && (
          <div className="plot-notice">
            <Skeleton lines={[60, 90, 75]} />
          </div>
        )}
      </div>
      {demo.host !== null && <div ref={host} className="host-figures" />}
    </Panel>
  );
}
