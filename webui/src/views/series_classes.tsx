// series_classes.tsx - the series of a device, what each takes on disk, and its class: its own, which
// an administrator gives it, or that of the rules.

import { useEffect, useState } from 'preact/hooks';
import { count_text } from '../format';
import { bytes_text, type SeriesStorage } from '../storage';
import { may_admin } from '../store/session';
import { series_class_put, series_classes, series_classes_open } from '../store/storage';
import { Find, Quiet } from '../ui/bits';
import { Dialog } from '../ui/dialog';

const SHOWN = 100;
const BY_RULES = ''; // no name of a class

function Row({ endpoint, s, classes }: { endpoint: string; s: SeriesStorage; classes: string[] }) {
  return (
    <li>
      <span class="series-key">{s.series}</span>
      <span class="spring" />
      <span class="muted num" title={`${count_text(s.samples)} samples`}>
        {s.samples > 0 && `about ${bytes_text(s.bytes)}`}
      </span>
      {may_admin.value ? (
        <select
          aria-label={`Class of ${s.series}`}
          value={s.fixed ? s.class : BY_RULES}
          onChange={(e) => void series_class_put(endpoint, s.series, e.currentTarget.value || null)}
        >
          <option value={BY_RULES}>{s.fixed ? 'by the rules' : `by the rules: ${s.class}`}</option>
          {classes.map((c) => (
            <option key={c} value={c}>
              {c}
            </option>
          ))}
        </select>
      ) : (
        <span class="tag">{s.class}</span>
      )}
    </li>
  );
}

export function SeriesClasses({ endpoint, onClose }: { endpoint: string; onClose: () => void }) {
  const [find, set_find] = useState('');
  useEffect(() => series_classes_open(endpoint), [endpoint]);
  const got = series_classes.value;
  const wanted = got?.series.filter((s) => s.series.toLowerCase().includes(find.toLowerCase()));
  return (
    <Dialog
      wide
      title="Series on disk"
      note={`The largest first, as counted last. The class says how long history is kept${may_admin.value ? '; one given here comes before all rules, and is for what is packed from now on' : ''}.`}
      onClose={onClose}
    >
      <Find what="series" value={find} onFind={set_find} />
      {!got || !wanted ? (
        <Quiet>Reading series</Quiet>
      ) : (
        <ul class="plain-list series-classes">
          {wanted.slice(0, SHOWN).map((s) => (
            <Row key={s.series} endpoint={endpoint} s={s} classes={got.classes} />
          ))}
        </ul>
      )}
      {wanted && wanted.length > SHOWN && (
        <p class="muted">{count_text(wanted.length - SHOWN)} more: say which.</p>
      )}
      {wanted?.length === 0 && <Quiet>No such series.</Quiet>}
    </Dialog>
  );
}
