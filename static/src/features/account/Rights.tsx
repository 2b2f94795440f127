import { rightName } from '../../components/account_words';
import { useWords } from '../../components/words';
import { visible } from '../../lib/text';

/** What the role allows, in words; the word that logs and messages use stands beside it. */
export function Rights({ rights }: { rights: readonly string[] }) {
  const words = useWords();
  const { t } = words;
  return (
    <div className="rights">
      <h3>{t('account.rights')}</h3>
      {rights.length === 0 ? (
        <p className="t2">{t('account.noRights')}</p>
      ) : (
        <ul>
          {rights.map((right) => (
            <li key={right}>
              <span>{rightName(right, words)}</span>
              <code className="mono t3">{visible(right)}</code>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
