import { Fan } from '../../components/Fan';
import { useWords } from '../../components/words';

export function Hero({ hasFeed }: { hasFeed: boolean }) {
  const { t } = useWords();
  return (
    <div className="hero">
      <Fan shape="band" />
      <h1>{t('hero.title')}</h1>
      <p>{t(hasFeed ? 'hero.text' : 'hero.textNoFeed')}</p>
    </div>
  );
}
