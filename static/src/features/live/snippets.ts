/** Code to copy, with this hub's address filled in. Only what this version of the hub answers to. */

import type { LiveConfig } from '../../client/config';
import type { Words } from '../../lib/i18n';

/** A channel that everyone can read on every hub is not known: without the demo feed, a name to be replaced. */
const ANY_CHANNEL = 'my:channel';

export function browser(config: LiveConfig): string {
  return `import { Centrifuge } from 'centrifuge'

const hub = new Centrifuge('${config.websocketUrl}')
const sub = hub.newSubscription('${readable(config)}')
sub.on('publication', m => console.log(m.data))
sub.subscribe()
hub.connect()`;
}

export function node(config: LiveConfig, words: Words): string {
  return `// npm install centrifuge ws${certificate(config, words, '//')}
import { Centrifuge } from 'centrifuge'
import WebSocket from 'ws'

const hub = new Centrifuge('${config.websocketUrl}', { websocket: WebSocket })
const sub = hub.newSubscription('${readable(config)}')
sub.on('publication', m => console.log(m.data))
sub.subscribe()
hub.connect()`;
}

export function python(config: LiveConfig): string {
  return `# pip install centrifuge-python
import asyncio
from centrifuge import Client, SubscriptionEventHandler

class Print(SubscriptionEventHandler):
    async def on_publication(self, ctx):
        print(ctx.pub.data)

async def main():
    hub = Client('${config.websocketUrl}')
    sub = hub.new_subscription('${readable(config)}', events=Print())
    await hub.connect()
    await sub.subscribe()
    await asyncio.Event().wait()

asyncio.run(main())`;
}

export function go(config: LiveConfig): string {
  return `// go get github.com/centrifugal/centrifuge-go
package main

import (
	"fmt"
	"github.com/centrifugal/centrifuge-go"
)

func main() {
	hub := centrifuge.NewJsonClient("${config.websocketUrl}", centrifuge.Config{})
	sub, err := hub.NewSubscription("${readable(config)}")
	if err != nil { panic(err) }
	sub.OnPublication(func(m centrifuge.PublicationEvent) { fmt.Println(string(m.Data)) })
	sub.Subscribe()
	hub.Connect()
	select {}
}`;
}

export function curl(config: LiveConfig, words: Words): string {
  const insecure = isLocalTls(config) ? ' -k' : '';
  return `# X-API-Key: ${words.t('snippet.key')}
curl${insecure} ${config.apiUrl}/publish \\
  -H 'X-API-Key: …' \\
  -H 'Content-Type: application/json' \\
  -d '{"channel":"${writable(config)}","data":{"text":"hi"}}'${arrives(config, words, '#')}`;
}

export function nodeSend(config: LiveConfig, words: Words): string {
  return `// X-API-Key: ${words.t('snippet.key')}${certificate(config, words, '//')}
await fetch('${config.apiUrl}/publish', {
  method: 'POST',
  headers: { 'X-API-Key': '…', 'Content-Type': 'application/json' },
  body: JSON.stringify({ channel: '${writable(config)}', data: { text: 'hi' } }),
})${arrives(config, words, '//')}`;
}

function readable(config: LiveConfig): string {
  return config.demo?.channel ?? ANY_CHANNEL;
}

function writable(config: LiveConfig): string {
  return config.chat ?? ANY_CHANNEL;
}

function arrives(config: LiveConfig, words: Words, comment: string): string {
  return config.chat === null ? '' : `\n${comment} ${words.t('snippet.arrives')}`;
}

function isLocalTls(config: LiveConfig): boolean {
  return /^https:\/\/(?:localhost|127\.|\[::1\])/.test(config.apiUrl);
}

function certificate(config: LiveConfig, words: Words, comment: string): string {
  return isLocalTls(config) ? `\n${comment} ${words.t('snippet.certificate')}` : '';
}
