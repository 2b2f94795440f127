/** What the hub finds, in German: the doctor's findings, those of reports, what alerts read, and why it is not ready. A test holds them against the hub's own sentences. */

import { de } from './de';
import type { Findings, Text } from './index';

/** What the catalogue calls the values of a closed set. */
function termsOf(prefix: string): Readonly<Record<string, string>> {
  const texts: readonly (readonly [string, Text])[] = Object.entries(de);
  return Object.fromEntries(
    texts.flatMap(([key, text]) =>
      key.startsWith(prefix) && typeof text === 'string' ? [[key.slice(prefix.length), text]] : [],
    ),
  );
}

export const deFindings: Findings = {
  terms: {
    reason: termsOf('feed.reason.'),
    state: termsOf('feed.state.'),
    objective: termsOf('over.objective.'),
    what: { descriptors: 'Deskriptoren', actors: 'Akteure' },
    period: { day: 'den Tag davor', week: 'die Woche davor' },
  },
  things: {
    events: { one: 'Ereignis', other: 'Ereignisse' },
    comments: { one: 'Kommentar', other: 'Kommentare' },
    portions: { one: 'Stück', other: 'Stücke' },
    lines: { one: 'Zeile', other: 'Zeilen' },
    places: { one: 'Stelle', other: 'Stellen' },
    ids: { one: 'Id', other: 'Ids' },
    days: { one: 'Tag', other: 'Tage' },
    expired_days: { one: 'Tag', other: 'Tagen' },
    in_days: { one: 'Tag', other: 'Tagen' },
    in_weeks: { one: 'Woche', other: 'Wochen' },
    years: { one: 'Jahr', other: 'Jahre' },
    times: { one: 'Mal', other: 'Mal' },
    bursts: { one: 'Mal', other: 'Mal' },
  },
  sentences: {
    'address.secret': '{member} in der Adresse sieht nach Zugangsdaten aus',
    'address.secret.cure':
      'Adressen enden in Logs und Prozesslisten. Nimmt der Zufluss sie in einer Kopfzeile, dann dort senden; der Hub hält Werte von Kopfzeilen geheim.',
    'address.http': 'http: Jeder auf dem Weg kann lesen und ändern, was der Zufluss sagt',
    'address.http.cure': 'Kopfzeilen, und mit ihnen Zugangsdaten, gehen unverschlüsselt hinaus. Besser https.',
    'proxy.named': 'die Variable {variable} nennt einen Proxy',
    'proxy.named.cure': 'Der Hub würde ihn auch benutzen; Name, TCP und TLS des Servers werden darum nicht direkt angesehen.',
    'system.no_client': 'es lässt sich kein HTTP-Client einrichten: {error}',
    'system.no_client.cure': 'Das ist ein Fehler dieses Systems.',

    'name.v4': '{host} ist {addresses} (nur IPv4), nach {took_ms}',
    'name.v6': '{host} ist {addresses} (nur IPv6), nach {took_ms}',
    'name.both': '{host} ist {addresses} (IPv4 und IPv6), nach {took_ms}',
    'name.late': '{host} war nach {limit_ms} noch nicht aufgelöst',
    'name.unknown': '{host} kann nicht aufgelöst werden: {error}',
    'name.empty': '{host} hat keine Adresse',
    'name.cure': 'Stimmt der Name, und kann diese Maschine ihn auflösen? Der Hub versucht es weiter, immer seltener.',

    'tcp.connected': 'verbunden mit {reached}',
    'tcp.partly': 'verbunden mit {reached}, aber nicht mit {unreached}',
    'tcp.partly.cure':
      'Der Hub versucht eine Adresse nach der anderen: Er kommt an, nur später. Tote Adressen aus dem Namen nehmen oder den Weg zu ihnen richten.',
    'tcp.failed': 'keine Verbindung zu {unreached}',
    'tcp.failed.cure':
      'Läuft der Server, stimmt der Port, lässt eine Firewall diese Maschine durch? Der Hub versucht es weiter, immer seltener.',

    'tls.days': '{version} nach {took_ms}, Zertifikat für {names}, ausgestellt von {issuer}, noch {days}',
    'tls.years': '{version} nach {took_ms}, Zertifikat für {names}, ausgestellt von {issuer}, noch {years}',
    'tls.expired': '{version} nach {took_ms}, Zertifikat für {names}, ausgestellt von {issuer}, abgelaufen vor {expired_days}',
    'tls.failed': 'kein Handshake: {error}',
    'tls.failed.cure': 'Spricht dieser Port TLS, und zwar TLS 1.2 oder neuer? Der Hub versucht es weiter, immer seltener.',
    'tls.no_certificate': 'der Server zeigte kein Zertifikat',
    'tls.no_certificate.cure': 'Der Hub liest ihn nicht.',
    'tls.unreadable': '{version}, mit einem Zertifikat, das nicht zu lesen ist',
    'tls.by_ca':
      'Nur durch --ca vertraut. Der Hub vertraut den Zertifikaten seines Systems: dieses dort hinzufügen (Debian: /usr/local/share/ca-certificates, dann update-ca-certificates) oder in SSL_CERT_FILE eine Datei mit allen nennen.',
    'tls.renew': 'Es hätte schon erneuert sein sollen. Vom letzten Tag an kann der Hub den Zufluss nicht mehr lesen.',
    'tls.refused': 'Das Zertifikat wird nicht angenommen: {error}.',
    'tls.has_expired': 'Das Zertifikat ist abgelaufen.',
    'tls.not_yet': 'Das Zertifikat gilt noch nicht; geht die Uhr dieser Maschine richtig?',
    'tls.other_names': 'Das Zertifikat gilt für andere Namen als den in der Adresse.',
    'tls.self_signed': 'Das Zertifikat ist selbst signiert: Niemand bürgt dafür.',
    'tls.unknown_or_cut':
      'Niemand, dem dieses System vertraut, bürgt dafür: eine private Stelle, oder der Server lässt das Zwischenzertifikat weg.',
    'tls.unknown': 'Niemand, dem dieses System vertraut, bürgt dafür: eine private Stelle.',
    'tls.no_authorities':
      'Dieses System hat überhaupt keine Zertifikate von Zertifizierungsstellen (Debian: Paket ca-certificates).',
    'tls.insecure': 'Wegen --insecure geht die Prüfung weiter; der Hub hat keinen solchen Schalter und parkt den Zufluss.',
    'tls.repeat': 'Der Hub parkt den Zufluss. Mit `aether feed check` und --ca DATEI oder --insecure ist der Rest zu sehen.',

    'redirect.to': '{status}, nach {to}',
    'redirect.moved': 'Der Zufluss ist für immer umgezogen: die neue Adresse eintragen.',
    'redirect.refused': '{status}: {detail}',
    'redirect.headers': 'die angegebenen Kopfzeilen werden dorthin nicht gesendet',
    'redirect.headers.cure': 'Sie können Zugangsdaten enthalten; der Hub sendet sie nur an den Host, der eingetragen ist.',
    'redirect.many': 'mehr als {times} weitergeleitet',
    'redirect.many.cure': 'Die Weiterleitungen gehen im Kreis, oder beinahe. Der Hub parkt einen solchen Zufluss.',

    'status.answered': '{status} nach {took_ms}',
    'status.answered_later': '{status} nach {took_ms}; Retry-After: {wait_ms}',
    'status.slow': '{status}, aber erst nach {took_ms}',
    'status.slow.cure':
      'Manche Server senden ihre Kopfzeilen mit dem ersten Ereignis. Sie sollten es sofort tun: Nach connect_timeout gibt der Hub auf.',
    'status.stop': 'Mit diesem Status bittet ein Zufluss seine Leser aufzuhören.',
    'status.credentials': 'Zugangsdaten fehlen, sind falsch oder abgelaufen.',
    'status.credentials_of': 'Zugangsdaten fehlen, sind falsch oder abgelaufen. Verlangt wird {scheme}.',
    'status.forbidden': 'Diese Zugangsdaten oder die Adresse dieser Maschine dürfen ihn nicht lesen.',
    'status.no_feed': 'Unter diesem Pfad gibt es keinen Zufluss.',
    'status.no_stream': 'Diese Adresse liefert auf ein GET, das text/event-stream annimmt, keinen Ereignisstrom.',
    'status.too_many': 'Zu viele Anfragen oder Verbindungen dieser Adresse oder dieser Zugangsdaten.',
    'status.trouble': 'Der Server oder ein Proxy vor ihm hat Schwierigkeiten.',
    'status.other': 'Das ist nicht die Antwort eines Zuflusses.',

    'content_type.is': '{content_type}',
    'content_type.charset':
      'Ereignisströme sind UTF-8, und Leser lesen sie so, was auch immer der Zeichensatz sagt. Sind die Daten in einem anderen, kommen sie entstellt an.',
    'content_type.other': '{content_type} statt text/event-stream',
    'content_type.missing': 'fehlt; es sollte text/event-stream sein',
    'body.stream':
      'Der Inhalt sieht dennoch nach einem Ereignisstrom aus: den Server „Content-Type: text/event-stream“ senden lassen.',
    'body.page': 'Der Inhalt ist eine Webseite: eine Anmeldung, ein Fehler oder eine andere Adresse als die des Zuflusses.',
    'body.json': 'Der Inhalt ist JSON: die Antwort einer API oder JSON-Zeilen, die kein Ereignisstrom sind.',
    'body.other': 'Das ist kein Ereignisstrom.',

    'headers.compressed': 'der Inhalt ist komprimiert, Content-Encoding {encoding}',
    'headers.compressed.cure':
      'Der Hub verlangt keine Kompression (Accept-Encoding: identity) und liest keine: Wer komprimiert, hält Ereignisse zurück, bis es sich lohnt. Für diesen Pfad abschalten. Der Hub parkt den Zufluss.',
    'headers.length': 'Content-Length {length}',
    'headers.length.cure':
      'Ein Strom hat keine Länge: Er endet, wenn so viele Bytes gekommen sind. Das ist ein Dokument, oder ein Cache hat eines daraus gemacht.',
    'headers.age': 'er kommt aus einem Cache, Age {age}',
    'headers.age.cure':
      'Das ist eine gespeicherte Antwort. Der Cache muss diesen Pfad durchreichen, und der Zufluss sollte „Cache-Control: no-store“ senden.',
    'headers.upgrade': 'der Server bietet einen Wechsel des Protokolls an; der Hub geht darauf nicht ein',
    'headers.cache_control': 'Cache-Control {cache_control}',
    'headers.no_cache_control': 'kein Cache-Control',
    'headers.cache_control.cure':
      'Ein Cache auf dem Weg könnte den Strom behalten. Der Zufluss sollte „Cache-Control: no-store“ senden.',
    'headers.proxies': 'auf dem Weg: {signs}',
    'headers.nginx':
      'nginx sammelt, was es durchreicht, außer mit „proxy_buffering off;“ oder wenn der Zufluss „X-Accel-Buffering: no“ sendet.',

    'failed.detail': '{detail}',
    'failed.name': 'Stimmt der Name?',
    'failed.tls': 'Es liegt am Zertifikat oder am Handshake.',
    'failed.refused': 'Läuft der Server, und stimmt der Port?',
    'failed.late': 'Manche Server senden ihre Kopfzeilen mit dem ersten Ereignis: Sie sollten es sofort tun.',
    'failed.http': 'Was dort antwortet, spricht kein HTTP, wie es sein soll: ein anderer Port, oder Kopfzeilen ohne Ende.',
    'failed.hung_up': 'Der Server oder ein Proxy vor ihm legte ohne Antwort auf.',
    'hub.parks': 'Der Hub parkt einen solchen Zufluss: Er fragt nur noch alle paar Minuten.',
    'hub.parks_it': 'Der Hub parkt einen solchen Zufluss.',
    'hub.asks_once_more': 'Der Hub liest die Zugangsdaten neu und fragt noch einmal, dann parkt er den Zufluss.',
    'hub.waits': 'Der Hub wartet so lange, in Grenzen, bevor er es wieder versucht.',
    'hub.retries': 'Der Hub versucht es weiter, immer seltener.',

    'second_connection.fine': 'eine zweite Verbindung neben der ersten wird angenommen',
    'second_connection.ends_first': 'eine zweite Verbindung wird angenommen, beendet aber die erste',
    'second_connection.refused': 'eine zweite Verbindung neben der ersten wird mit {status} abgewiesen',
    'second_connection.failed': 'eine zweite Verbindung neben der ersten misslingt: {detail}',
    'second_connection.cure':
      'Der Hub kann keine neue Verbindung öffnen, bevor er die alte schließt, wie er es beim Erneuern tut: Einen Augenblick lang liest er nichts. Ein zweiter Hub oder ein Test wäre ausgesperrt. Der Zufluss sollte mindestens zwei erlauben.',

    'stream.first': 'das erste Ereignis kam nach {took_ms}',
    'stream.heard': '{events} und {size_bytes} in {took_ms}',
    'stream.enough': 'nicht länger als {took_ms} zugehört: Das genügte für ein Urteil',
    'stream.broke': 'die Verbindung brach ab; bis dahin {events} und {size_bytes} in {took_ms}: {detail}',
    'stream.broke.cure':
      'Der Hub kommt wieder und setzt fort, doch innerhalb einer Prüfung sollte ein Zufluss nicht abbrechen. Im Log des Servers nachsehen, und nach Zeitlimits von Proxys vor ihm.',
    'stream.ended': 'der Zufluss beendete die Antwort; bis dahin {events} und {size_bytes} in {took_ms}',
    'stream.ended.cure':
      'Der Hub kommt sofort wieder und setzt fort. Beendet der Zufluss seine Ströme nicht mit Absicht, nach einem Zeitlimit im Server oder in einem Proxy davor suchen (nginx: proxy_read_timeout).',
    'stream.document':
      'Das ist eher ein Dokument oder eine abgefragte Liste als ein Strom: Der Hub würde immer wieder danach fragen. Ein Zufluss hält seine Antwort offen.',
    'stream.quiet': 'kein Byte in {took_ms}',
    'stream.quiet.cure':
      'Ein stiller Zufluss, oder einer, den ein Proxy zurückhält: länger zuhören. Ohne Herzschlag kann der Hub einen stillen Zufluss nicht von einer toten Verbindung unterscheiden und verbindet nach idle_timeout neu.',
    'stream.no_line': '{size_bytes} ohne ein einziges Zeilenende',
    'stream.no_line.cure':
      'Das ist kein Ereignisstrom, oder er beendet seine erste Zeile nie. Bei line_bytes_max gibt der Hub auf.',
    'stream.unknown_lines': 'kein Ereignis in {size_bytes}; Zeilen wie {line} gehören nicht zum Format',
    'stream.incomplete': 'kein vollständiges Ereignis in {size_bytes} und {took_ms}',
    'stream.format':
      'Ein Ereignis ist eine oder mehrere Zeilen „data: …“ und eine leere Zeile, die es vollständig macht. JSON-Zeilen allein sind kein Ereignisstrom.',
    'stream.only_comments': 'kein Ereignis in {took_ms}, nur {comments}',
    'stream.only_comments.cure':
      'Die Verbindung lebt, aber auf diesem Zufluss geschieht nichts, oder er braucht einen Parameter: länger zuhören.',
    'stream.drips': 'er tröpfelt: {size_bytes}, {portions}',
    'stream.drips.cure':
      'Der Server sendet, bevor eine Zeile vollständig ist. Er sollte ein ganzes Ereignis schreiben und es dann absenden. Ein Ereignis verspätet sich um die Zeit, die es zum Ankommen braucht.',

    'buffering.none': 'Ereignisse kommen, wie sie geschehen; nichts hält sie zurück',
    'buffering.steady': 'Ereignisse kommen in stetigem Fluss',
    'buffering.cut': 'zurückgehalten: {bursts} kamen etwa {size_bytes} auf einmal und endeten mitten in einem Ereignis',
    'buffering.late':
      'zurückgehalten: {bursts} kamen Ereignisse auf einmal, die nach ihren eigenen Zeiten bis zu {apart_ms} auseinander liegen',
    'buffering.cure':
      'Etwas zwischen dem Zufluss und hier sammelt, bevor es sendet: ein Proxy, der puffert oder komprimiert. Der Zufluss sollte die Kopfzeile „X-Accel-Buffering: no“ senden; in nginx „proxy_buffering off;“ setzen und text/event-stream aus gzip_types lassen.',

    'heartbeat.every': 'ein Kommentar alle {interval_ms}; längste Stille {silence_ms}',
    'heartbeat.once': 'ein Kommentar; längste Stille {silence_ms}',
    'heartbeat.none': 'keine Kommentare; längste Stille {silence_ms}',
    'heartbeat.dead':
      'Nach idle_timeout, {idle_ms}, hält der Hub den Zufluss für tot und verbindet neu. Den Server öfter einen Kommentar senden lassen („:“ und ein Zeilenende), oder für diesen Zufluss idle_timeout = "{suggested}" setzen.',
    'heartbeat.near': 'Mehr als die Hälfte von idle_timeout: Eine etwas längere Stille gilt als tote Verbindung.',
    'heartbeat.wanted':
      'Ohne Herzschlag fällt eine tote Verbindung erst nach idle_timeout, {idle_ms}, auf, und ein stiller Zufluss wird ebenso oft neu verbunden. Ein Kommentar alle 15 s behebt beides.',

    'rate.second': '{per_second} Ereignisse je Sekunde, {traffic_bytes} je Sekunde; am längsten ohne Ereignis: {silence_ms}',
    'rate.minute': '{per_minute} Ereignisse je Minute, {traffic_bytes} je Sekunde; am längsten ohne Ereignis: {silence_ms}',

    'size.fine': 'längste Zeile {line_bytes}, größtes Ereignis {event_bytes}, im Mittel {mean_bytes}',
    'size.largest': 'längste Zeile {line_bytes}, größtes Ereignis {event_bytes}',
    'size.line': 'eine Zeile ist länger als {max_bytes}, nach {heard_bytes}',
    'size.event': 'die Daten eines Ereignisses sind länger als {max_bytes}, nach {heard_bytes}',
    'size.id': 'die Id eines Ereignisses ist länger als {max_bytes}, nach {heard_bytes}',
    'size.event_type': 'die Art eines Ereignisses ist länger als {max_bytes}, nach {heard_bytes}',
    'size.split':
      'Die Prüfung liest nicht weiter, und ein Hub, der Monate leben soll, sollte es auch nicht: das Ereignis teilen, oder senden, wo die Daten sind, statt der Daten.',
    'size.word':
      'Hier beendet der Hub die Verbindung. Eine Id ist eine Position, eine Ereignisart ein Wort; was lang ist, gehört in die Daten.',
    'size.raise':
      'Der Hub beendet die Verbindung bei line_bytes_max, {line_max_bytes}, und event_bytes_max, {event_max_bytes}. Für diesen Zufluss erhöhen, wie unten: line_bytes_max = "{line_limit}", event_bytes_max = "{event_limit}".',
    'size.near':
      'Mehr als die Hälfte dessen, was der Hub nimmt (line_bytes_max, event_bytes_max). Was darüber liegt, beendet die Verbindung.',

    'event_names.all': '{names}',
    'event_names.most': '{names} und {more} weitere',
    'event_names.many':
      'Es sind sehr viele Ereignisnamen. {{event}} nicht im Namen des Kanals benutzen: Jeder Name würde zu einem Kanal.',
    'event_names.odd':
      'Manche enthalten Zeichen, die kein Fremder für den Namen eines Kanals wählen darf: Mit {{event}} im Kanal werden solche Ereignisse verworfen und gezählt.',

    'ids.unique': 'jedes Ereignis hat eine, eindeutig, zum Beispiel {example}',
    'ids.growing': 'jedes Ereignis hat eine, eindeutig und wachsend, zum Beispiel {example}',
    'ids.unordered': 'jedes Ereignis hat eine, eindeutig, aber nicht immer wachsend, zum Beispiel {example}',
    'ids.none': 'Ereignisse haben keine Id',
    'ids.none.cure':
      'Der Hub kann nicht sagen, wo er war, wenn er wiederkommt: Was der Zufluss inzwischen sagt, ist verloren, und wiederholte Ereignisse werden nicht erkannt.',
    'ids.repeated': '{repeated} von {all} Ereignissen haben eine Id, die schon vorkam; Ids wie {example}',
    'ids.repeated.cure':
      'Eine Id muss eine Position sein: Nach einem Neuverbinden gilt ein Ereignis, dessen Id der Hub kennt, als Wiederholung.',
    'ids.some': '{with_id} von {all} Ereignissen haben eine eigene Id, zum Beispiel {example}',
    'ids.some.cure': 'Die übrigen erben die letzte: Nach einem Neuverbinden können sie fehlen oder noch einmal kommen.',

    'data.json': 'JSON; format = "data" reicht es weiter, wie es ist',
    'data.text': 'Text, kein JSON; format = "data" macht daraus eine JSON-Zeichenkette',
    'data.mixed': 'JSON: {events}, anderer Text: {others}',
    'data.mixed.cure':
      'Mit format = "data" bekommen Abonnenten bald einen Wert, bald eine Zeichenkette. format = "envelope" gibt ihnen immer den Text.',

    'delay.is': 'nach ihrem eigenen {member} sind Ereignisse bei der Ankunft meist {age_ms} alt',
    'delay.early': 'nach ihrem eigenen {member} kommen Ereignisse {age_ms}, bevor sie geschehen',
    'delay.early.cure': 'Die Uhren des Zuflusses und dieser Maschine gehen verschieden.',
    'delay.late':
      'Der Zufluss ist schon an der Quelle verspätet, etwas hält ihn zurück, er wiederholt die Vergangenheit, oder die Uhren gehen verschieden.',

    'retry.none': 'der Zufluss sagt nicht, wann man wiederkommen soll; es gilt retry_initial des Hubs',
    'retry.followed': 'wiederkommen nach {retry_ms}; daran hält sich der Hub',
    'retry.bounded': 'wiederkommen nach {retry_ms}; der Hub macht {followed_ms} daraus',
    'retry.bounded.cure': 'Die Grenzen sind retry_min und retry_max.',
    'retry.bad': '{lines} „retry:“, deren Wert keine Zahl ist',
    'retry.bad.cure': 'Das wird übergangen. Der Wert ist eine Zahl von Millisekunden, nur Ziffern.',

    'text.fine': 'UTF-8, Zeilen enden mit {ends}',
    'text.no_utf8': '{places}, wo die Bytes kein UTF-8 sind',
    'text.no_utf8.cure':
      'Ereignisströme sind UTF-8, was auch immer die Kopfzeilen sagen. Jede solche Stelle wird zum Ersatzzeichen U+FFFD.',
    'text.nul': '{ids} mit einem NUL-Zeichen',
    'text.nul.cure': 'Leser übergehen solche Ids, auch der Hub: Er setzt bei der Id davor fort.',
    'text.bom': 'beginnt mit einer Byte-Reihenfolge-Marke; sie wird übersprungen',
    'text.unknown_lines': '{lines} außerhalb des Formats, zum Beispiel {line}',
    'text.unknown_lines.cure':
      'Leser überspringen sie. Ein Zeilenende in Daten muss als neue Zeile „data: …“ geschrieben werden.',
    'text.mixed_ends': 'Zeilen enden mit {ends}',
    'text.mixed_ends.cure': 'Erlaubt, aber ein Zeichen für zwei Schreiber in einem Strom.',

    'resume.whole': 'setzt fort: {events} nach der Id {id} kamen noch einmal in Reihenfolge, ohne Lücke',
    'resume.whole_and_one':
      'setzt fort: {events} nach der Id {id} kamen noch einmal in Reihenfolge, ohne Lücke, mit diesem einen noch einmal',
    'resume.whole_and_one.cure': 'Last-Event-ID nennt das letzte gelesene Ereignis, es sollte also nicht noch einmal kommen.',
    'resume.silent': 'gebeten, nach der Id {id} fortzusetzen, sandte der Zufluss kein Ereignis mit einer Id',
    'resume.silent.cure': 'Ob er fortsetzt, lässt sich nicht sagen. Länger zuhören, oder wenn mehr Verkehr ist.',
    'resume.repeats': 'gebeten, nach der Id {id} fortzusetzen, wiederholte der Zufluss von davor: {events}',
    'resume.repeats.cure':
      'Er sendet seinen Verlauf, was auch immer gefragt ist: Nach jedem Neuverbinden sehen Abonnenten alte Ereignisse wieder, wenn der Hub ihre Ids nicht kennt.',
    'resume.went_on': 'gebeten, nach der Id {id} fortzusetzen, tat der Zufluss es',
    'resume.went_on.cure':
      'Es gab nur ein Ereignis mit einer Id zum Vergleichen; eine Lücke wäre nicht aufgefallen. Länger zuhören.',
    'resume.lost': 'setzt nicht fort: gebeten, nach der Id {id} fortzusetzen, ließ der Zufluss aus, was folgte: {events}',
    'resume.lost.cure':
      'Er beachtet Last-Event-ID nicht, oder hat keinen Verlauf: Was er sagt, während der Hub weg ist, ist verloren. Der Hub vermerkt solche Lücken.',
    'resume.disordered': 'gebeten, nach der Id {id} fortzusetzen, sandte der Zufluss das Folgende in anderer Reihenfolge',
    'resume.gap': 'gebeten, nach der Id {id} fortzusetzen, ließ der Zufluss {missing} aus; gefolgt waren {events}',
    'resume.gap.cure': 'Nach einem Neuverbinden fehlen Ereignisse, oder sie kommen in anderer Reihenfolge.',
    'resume.refused': 'die Bitte, nach der Id {id} fortzusetzen, wurde mit {status} beantwortet',
    'resume.failed': 'die Bitte, nach der Id {id} fortzusetzen, misslang: {detail}',
    'resume.failed.cure':
      'So kommt der Hub nach jedem Abbruch wieder. Begrenzt der Zufluss Verbindungen, muss er eine eben geschlossene als geschlossen zählen.',

    'head.answered': 'HEAD wird mit {status} beantwortet',
    'head.refused': 'HEAD wird mit {status} abgewiesen',
    'head.failed': 'HEAD misslingt: {detail}',
    'head.silent': 'HEAD bleibt {limit_ms} lang ohne Antwort',
    'head.cure': 'Der Hub braucht es nicht, aber eine Überwachung mit HEAD hielte diesen Zufluss für tot.',

    'feeds.worst': '{feed} hat {share_percent} aller Fehler, meist: {reason}',
    'feeds.worst_mixed': '{feed} hat {share_percent} aller Fehler, aus mehreren Gründen',
    'feeds.hours': 'Fehler häufen sich in den Stunden ab {hours} (UTC)',
    'feeds.ends': '{share_percent} aller Enden haben einen Grund: {reason}',
    'feeds.late': 'Ereignisse von {feed} sind im Mittel {late_ms} verspätet',
    'feeds.missed': '{times} wurden sicher Ereignisse verpasst',
    'feeds.change': '{change_percent} Ereignisse gegen {period}',
    'feeds.waited':
      'bis zu {feeds} Zuflüsse warteten auf eine von {connections} Verbindungen: upstream.pool.connections_max erhöhen',
    'feeds.full_in_days': 'bei {growth} Verbindungen mehr am Tag sind die {connections} erlaubten in {in_days} erreicht',
    'feeds.full_in_weeks': 'bei {growth} Verbindungen mehr in der Woche sind die {connections} erlaubten in {in_weeks} erreicht',
    'feeds.used': 'bis zu {used_percent} des Speichers oder der Deskriptoren waren in Gebrauch',

    'report.promise_broken': '{objective}: {kept_share} statt der versprochenen {goal_share}',
    'report.promise_broken_budget':
      '{objective}: {kept_share} statt der versprochenen {goal_share}; vom Fehlerbudget für 30 Tage bleiben {left_percent}',
    'report.budget_low': '{objective}: wie versprochen; vom Fehlerbudget für 30 Tage bleiben {left_percent}',
    'report.critical_once': 'kritisch: {alert} (einmal, insgesamt {active_ms})',
    'report.critical': 'kritisch: {alert} ({times}, insgesamt {active_ms})',
    'report.leak_memory': 'der Speicher wuchs ohne mehr Last um {growth_bytes} je Stunde',
    'report.leak': '{what} wuchsen ohne mehr Last um {growth} je Stunde',
    'report.panics': '{times} brach etwas mit einer Panik ab, jede ein Fehler des Hubs',
    'report.restarts': '{times} war ein Akteur ausgefallen und wurde neu gestartet',
    'report.unmeasured': '{missing_share} der Zeit wurde nichts gemessen: Der Hub lief nicht',
    'report.sessions_change': '{change_percent} Sitzungen gegen {period}',
    'report.memory_change': '{change_percent} Speicher gegen {period}, mehr als die Sitzungen erklären',
    'report.disk': 'am wenigsten frei waren {free_share} der Platte',

    'alert.read': '{metric} ist {value}.',
    'alert.no_reading': '{metric} hat keinen Messwert.',
    'rule.above': 'Die Regel: über {limit}.',
    'rule.above_for': 'Die Regel: über {limit}, {for_ms} lang.',
    'rule.below': 'Die Regel: unter {limit}.',
    'rule.below_for': 'Die Regel: unter {limit}, {for_ms} lang.',
    'rule.gone': 'Die Regel: ohne Messwert.',
    'rule.gone_for': 'Die Regel: {for_ms} lang ohne Messwert.',
    'alert.feed': '{state}.',
    'alert.feed.detail': '{state}: {detail}.',
    'alert.feed.reason': '{state}: {reason}.',
    'alert.feed.reason_detail': '{state}: {reason}: {detail}.',
    'alert.feeds': '{feeds}.',
    'alert.feeds_and_more': '{feeds} und {more} weitere.',
    'alert.store': '{trouble}.',
    'alert.worker': 'Worker {worker} ist {late_ms} im Rückstand.',

    'ready.draining': 'Der Hub läuft leer',
    'ready.maintenance': 'Wartung: {message}',
  },
};
