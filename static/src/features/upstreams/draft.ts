/** What is to become a feed, as far as it is known. */
export interface FeedDraft {
  readonly name: string;
  readonly address: string;
  readonly channel: string;
}

export const NO_DRAFT: FeedDraft = { name: '', address: 'https://', channel: '' };

/** The lines that the doctor suggests, as a form is filled in: its names are on lines of their own, values in quotes as JSON has them. */
export function draftIn(config: string): FeedDraft {
  const quotedOf = (name: string): string => {
    const found = new RegExp(`^${name} = ("(?:[^"\\\\]|\\\\.)*")`, 'm').exec(config)?.[1];
    if (found === undefined) return '';
    try {
      const value: unknown = JSON.parse(found);
      return typeof value === 'string' ? value : '';
    } catch {
      return '';
    }
  };
  return { name: quotedOf('name'), address: quotedOf('url') || NO_DRAFT.address, channel: quotedOf('channel') };
}
