/** All that the Live page knows, outside of React: what arrives is put where the next frame finds it. Born with a configuration. */

import { ChannelReader } from '../../client/channels';
import { HubClock, wallMs } from '../../client/clock';
import type { LiveConfig } from '../../client/config';
import { Hub, HubError, type HubOptions, type Recovery, type SubscriptionState } from '../../client/hub';
import { type Signal, signal } from '../../client/signal';
import { ChosenChannel } from '../../components/messages/chosen_channel';
import { requestFrame } from '../../lib/frame';
import { ChatLog, parseSaid } from './chat_log';
import { type HostFigures, parseHostFigures } from './host_figures';
import { Journal } from './journal';
import { PulseSeries, parseMeasurement } from './pulse_series';

/** Between two looks at who reads along, which also measure the way to the hub and back. */
const TABS_EVERY_MS = 5_000;
const TABS_SETTLE_MS = 300;
const CHAT_HISTORY = 6;
/** What the hub gives at most in one answer: half the window. */
const PULSE_HISTORY = 300;

export class LiveModel {
  readonly clock = new HubClock();
  readonly journal = new Journal();
  readonly hub: Hub;
  readonly channels = new ChannelReader(this.clock);
  readonly pulse = new PulseSeries();
  readonly chat: ChatLog;
  host: HostFigures | null = null;
  /** When the feed, and when anything, last came: our time. */
  pulseUpdatedMs: number | null = null;
  roundTripMs: number | null = null;
  tabs: number | null = null;
  readonly #pulseState = signal<SubscriptionState>({ kind: 'subscribing' });
  readonly pulseState: Signal<SubscriptionState> = this.#pulseState;
  readonly #hasPulse = signal(false);
  readonly hasPulse: Signal<boolean> = this.#hasPulse;
  readonly #returned = signal<{ readonly recoveries: readonly Recovery[]; readonly atMs: number } | null>(null);
  readonly returned: Signal<{ readonly recoveries: readonly Recovery[]; readonly atMs: number } | null> = this.#returned;
  #updatedMs: number | null = null;
  #lastSentT = 0;
  #stops: (() => void)[] = [];
  #tabsTimer = 0;
  #isHistoryRead = false;
  #isPulseFilled = false;

  constructor(
    readonly config: LiveConfig,
    { tokens, noticed }: Pick<HubOptions, 'tokens' | 'noticed'>,
  ) {
    this.chat = new ChatLog(tabId());
    this.hub = new Hub({
      url: config.websocketUrl,
      tokens,
      noticed,
      returned: (recoveries) => {
        const atMs = Date.now();
        this.journal.returned(recoveries, atMs);
        this.#returned.set({ recoveries, atMs });
        requestFrame();
      },
    });
  }

  /** When anything last came from the hub, our time. */
  get updatedMs(): number | null {
    // With the connection gone, answers to other requests do not make what is shown any younger.
    if (this.hub.state.get().kind !== 'connected') return this.#updatedMs;
    const answered = this.channels.answeredMs;
    return answered > (this.#updatedMs ?? 0) ? answered : this.#updatedMs;
  }

  start(): void {
    const { demo, chat } = this.config;
    this.#stops.push(
      this.hub.state.subscribe(() => {
        const state = this.hub.state.get();
        this.journal.connection(state, Date.now());
        if (state.kind === 'connected') {
          this.#updatedMs = wallMs();
          this.channels.now();
        }
        requestFrame();
      }),
    );
    if (demo !== null) this.#stops.push(this.#watchPulse(demo.channel));
    if (demo?.host != null) this.#stops.push(this.#watchHost(demo.host));
    if (chat !== null) this.#stops.push(this.#watchChat(chat));
    this.channels.start();
    this.hub.connect();
  }

  stop(): void {
    clearTimeout(this.#tabsTimer);
    this.channels.stop();
    for (const stop of this.#stops) stop();
    this.#stops = [];
    this.hub.close();
  }

  choose(name: string): ChosenChannel {
    return new ChosenChannel(name, this.hub, this.clock);
  }

  /** Says something to everyone. Throws `HubError`. */
  async say(text: string): Promise<void> {
    const { chat } = this.config;
    if (chat === null) throw new HubError(0, 'no channel');
    const atMs = wallMs();
    const t = Math.max(this.#lastSentT + 1, Math.round(this.clock.toHub(atMs)));
    this.#lastSentT = t;
    this.chat.sent(t, atMs);
    requestFrame();
    await this.hub.publish(chat, JSON.stringify({ text, from: this.chat.tab, t }));
    this.chat.taken(t, wallMs());
    requestFrame();
  }

  #watchPulse(channel: string): () => void {
    return this.hub.watch(channel, {
      state: (state) => {
        this.#pulseState.set(state);
        if (state.kind === 'subscribed' && !this.#isPulseFilled) void this.#fillPulse(channel);
      },
      message: (message) => {
        this.#updatedMs = message.arrivedMs;
        // Visitors may publish here too; only what no session sent is the feed's.
        const measurement = message.from === null ? parseMeasurement(message.bytes) : null;
        if (measurement === null) return;
        this.pulseUpdatedMs = message.arrivedMs;
        this.pulse.push(measurement, message.origin === 'recovered' ? null : this.clock.toHub(message.arrivedMs));
        this.#hasPulse.set(true);
        requestFrame();
      },
    });
  }

  /** A curve that begins at the right edge looks broken: what the channel keeps is drawn at once. */
  async #fillPulse(channel: string): Promise<void> {
    this.#isPulseFilled = true;
    try {
      const messages = await this.hub.latest(channel, PULSE_HISTORY);
      this.pulse.backfill(messages.flatMap(({ from, bytes }) => (from === null ? (parseMeasurement(bytes) ?? []) : [])));
      requestFrame();
    } catch {
      // Without history the curve grows from now on.
    }
  }

  #watchHost(channel: string): () => void {
    return this.hub.watch(channel, {
      message: (message) => {
        this.#updatedMs = message.arrivedMs;
        if (message.from === null) this.host = parseHostFigures(message.bytes) ?? this.host;
        requestFrame();
      },
    });
  }

  #watchChat(channel: string): () => void {
    return this.hub.watch(channel, {
      state: (state) => {
        if (state.kind !== 'subscribed') return;
        this.#countTabs(channel, 0);
        if (!this.#isHistoryRead) void this.#readHistory(channel);
      },
      presence: () => this.#countTabs(channel, TABS_SETTLE_MS),
      message: (message) => {
        this.#updatedMs = message.arrivedMs;
        this.chat.heard(
          parseSaid(message.bytes),
          message.arrivedMs,
          this.clock.toHub(message.arrivedMs),
          message.origin === 'live',
        );
        requestFrame();
      },
    });
  }

  async #readHistory(channel: string): Promise<void> {
    this.#isHistoryRead = true;
    try {
      const messages = await this.hub.latest(channel, CHAT_HISTORY);
      if (this.chat.lines().length > 0) return;
      for (const message of messages)
        this.chat.heard(parseSaid(message.bytes), message.arrivedMs, this.clock.toHub(message.arrivedMs), false);
      requestFrame();
    } catch {
      // A channel without history, or one whose history is not for visitors: what is said from now on is shown.
    }
  }

  #countTabs(channel: string, afterMs: number): void {
    clearTimeout(this.#tabsTimer);
    this.#tabsTimer = window.setTimeout(async () => {
      try {
        if (!document.hidden) {
          const { sessions, roundTripMs } = await this.hub.presenceCount(channel);
          this.tabs = sessions;
          this.roundTripMs = roundTripMs;
        }
      } catch {
        this.tabs = null;
        this.roundTripMs = null;
      }
      requestFrame();
      if (this.#stops.length > 0) this.#countTabs(channel, TABS_EVERY_MS);
    }, afterMs);
  }
}

/** Names this tab to itself; it need not be secret. Random UUIDs exist in secure contexts only. */
function tabId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
