/** What was read, by which rule, as the hub says it of an alert ("cpu is 98.5; the rule: above 95 for 5 min."), in the reader's language. */

import type { Words } from '../../lib/i18n';

const SAID =
  /^(\S+) is (no reading|-?[\d.]+(?:e-?\d+)?); the rule: (?:(above|below) (-?[\d.]+(?:e-?\d+)?)|(without a reading))(?: for ([^.;]+))?\.(.*)$/s;

/** What is said in another way is given as it is; so is what the feed or the system said, at the end. */
export function alertSaid(text: string, { t, format, told }: Pick<Words, 't' | 'format' | 'told'>): string {
  const said = SAID.exec(text);
  if (said === null) return told(text);
  const [, metric = '', read = '', condition, limit = '', , time, why = ''] = said;
  const number = (digits: string) => format.decimal(Number(digits), digits.split('.')[1]?.length ?? 0);
  const value = read === 'no reading' ? t('alerts.read.none') : number(read);
  const rule =
    condition === undefined
      ? t('alerts.read.gone')
      : t(`alerts.read.${condition as 'above' | 'below'}`, { value: number(limit) });
  return `${t('alerts.read', { metric, value, rule: time === undefined ? rule : t('alerts.read.for', { rule, time }) })}${why}`;
}
