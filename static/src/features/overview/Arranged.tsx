/**
 * The panels while they are being arranged: taken by the grip with mouse, finger or keyboard, moved by buttons, hidden, and others added. Every
 * change is in force at once. What is in a panel can be seen meanwhile and not used.
 */

import {
  type Announcements,
  closestCenter,
  DndContext,
  type DragEndEvent,
  DragOverlay,
  KeyboardSensor,
  PointerSensor,
  useSensor,
  useSensors,
} from '@dnd-kit/core';
import { SortableContext, sortableKeyboardCoordinates, useSortable } from '@dnd-kit/sortable';
import { useState } from 'react';
import { Icon } from '../../components/Icon';
import { useWords } from '../../components/words';
import { moved, PANEL_IDS, PANELS, type PanelId, panelsIn } from '../../lib/panels';
import { OnePanel, panelTitle, type Shown } from './panels';

/** Pixels by which a press becomes a drag. */
const DRAGGED_PX = 4;

interface Props {
  readonly panels: readonly PanelId[];
  readonly shown: Shown;
  readonly onChange: (panels: readonly PanelId[]) => void;
}

function panelOf(id: unknown): PanelId | null {
  return panelsIn([id])?.[0] ?? null;
}

export default function Arranged({ panels, shown, onChange }: Props) {
  const words = useWords();
  const { t } = words;
  const [taken, setTaken] = useState<PanelId | null>(null);
  const [aim, setAim] = useState<PanelId | null>(null);
  const sensors = useSensors(
    useSensor(PointerSensor, { activationConstraint: { distance: DRAGGED_PX } }),
    useSensor(KeyboardSensor, { coordinateGetter: sortableKeyboardCoordinates }),
  );
  const placeOf = (id: unknown) => {
    const panel = panelOf(id);
    return panel === null ? 0 : panels.indexOf(panel) + 1;
  };
  const titleOf = (id: unknown) => {
    const panel = panelOf(id);
    return panel === null ? '' : panelTitle(panel, words);
  };
  const told = (key: 'arrange.taken' | 'arrange.at' | 'arrange.dropped' | 'arrange.back', id: unknown, place: unknown = id) =>
    t(key, { name: titleOf(id), at: placeOf(place), n: panels.length });
  const announcements: Announcements = {
    onDragStart: ({ active }) => told('arrange.taken', active.id),
    onDragOver: ({ active, over }) => told('arrange.at', active.id, over?.id ?? active.id),
    onDragEnd: ({ active, over }) => told('arrange.dropped', active.id, over?.id ?? active.id),
    onDragCancel: ({ active }) => told('arrange.back', active.id),
  };
  // At the drop alone: panels of different widths that made room at once would be pushed to and fro under a pointer that stands still.
  const drop = ({ active, over }: DragEndEvent) => {
    setTaken(null);
    setAim(null);
    const [one, other] = [panelOf(active.id), panelOf(over?.id)];
    if (one === null || other === null || one === other) return;
    onChange(moved(panels, one, other));
  };
  const hidden = PANEL_IDS.filter((id) => !panels.includes(id));
  return (
    <DndContext
      sensors={sensors}
      collisionDetection={closestCenter}
      accessibility={{ announcements, screenReaderInstructions: { draggable: t('arrange.how') } }}
      onDragStart={({ active }) => setTaken(panelOf(active.id))}
      onDragOver={({ active, over }) => setAim(over?.id === active.id ? null : panelOf(over?.id))}
      onDragEnd={drop}
      onDragCancel={() => {
        setTaken(null);
        setAim(null);
      }}
    >
      <p className="arrange-how">{t('arrange.how')}</p>
      <SortableContext items={[...panels]} strategy={inPlace}>
        <div className="panels is-arranged">
          {panels.map((id, at) => (
            <Place
              key={id}
              id={id}
              shown={shown}
              isAim={id === aim}
              earlier={panels[at - 1] ?? null}
              later={panels[at + 1] ?? null}
              onMove={(other) => onChange(moved(panels, id, other))}
              onHide={() => onChange(panels.filter((one) => one !== id))}
            />
          ))}
        </div>
      </SortableContext>
      {hidden.length > 0 && (
        <section className="panel" aria-labelledby="arrange-more">
          <div className="panel-head">
            <h2 id="arrange-more">{t('arrange.more')}</h2>
          </div>
          <div className="arrange-more">
            {hidden.map((id) => (
              <button key={id} type="button" className="button" onClick={() => onChange([...panels, id])}>
                <Icon name="plus" />
                {panelTitle(id, words)}
              </button>
            ))}
          </div>
        </section>
      )}
      <DragOverlay dropAnimation={null}>
        {taken !== null && (
          <div className="panel arrange-taken">
            <Icon name="grip" />
            {panelTitle(taken, words)}
          </div>
        )}
      </DragOverlay>
    </DndContext>
  );
}

/** Nothing is shifted while something is over it. */
function inPlace(): null {
  return null;
}

function Place({
  id,
  shown,
  isAim,
  earlier,
  later,
  onMove,
  onHide,
}: {
  id: PanelId;
  shown: Shown;
  /** What is taken would come here. */
  isAim: boolean;
  earlier: PanelId | null;
  later: PanelId | null;
  onMove: (other: PanelId) => void;
  onHide: () => void;
}) {
  const words = useWords();
  const { t } = words;
  const { attributes, listeners, setNodeRef, setActivatorNodeRef, isDragging } = useSortable({ id });
  const name = panelTitle(id, words);
  return (
    <div
      ref={setNodeRef}
      className={`panel-place is-width-${PANELS[id].width}`}
      data-taken={isDragging || undefined}
      data-aim={isAim || undefined}
    >
      <div className="arrange-bar">
        <button
          ref={setActivatorNodeRef}
          type="button"
          className="arrange-grip"
          {...attributes}
          {...listeners}
          aria-label={t('arrange.grip', { name })}
        >
          <Icon name="grip" />
          <span className="trunc">{name}</span>
        </button>
        <button
          type="button"
          className="button is-quiet is-square"
          aria-label={t('arrange.earlier', { name })}
          disabled={earlier === null}
          onClick={() => earlier !== null && onMove(earlier)}
        >
          <Icon name="left" />
        </button>
        <button
          type="button"
          className="button is-quiet is-square"
          aria-label={t('arrange.later', { name })}
          disabled={later === null}
          onClick={() => later !== null && onMove(later)}
        >
          <Icon name="right" />
        </button>
        <button type="button" className="button is-quiet is-square" aria-label={t('arrange.hide', { name })} onClick={onHide}>
          <Icon name="hide" />
        </button>
      </div>
      <div inert className="arrange-inside">
        <OnePanel id={id} shown={shown} />
      </div>
    </div>
  );
}
