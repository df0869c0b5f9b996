// device_labels.tsx - tags and groups of one device: a quiet line, and a form for engineers.

import { useEffect, useState } from 'preact/hooks';
import { tag_text, tags_parse } from '../labels';
import { filter_href, FILTER_NONE } from '../route';
import { labels, labels_open, labels_save } from '../store/labels';
import { may_engineer } from '../store/session';
import { Dialog, FormEnd } from '../ui/dialog';

function Form({ endpoint, onClose }: { endpoint: string; onClose: () => void }) {
  const now = labels.peek();
  const [tags, set_tags] = useState(
    Object.entries(now?.tags ?? {})
      .map(([k, v]) => `${k}=${v}`)
      .join('\n'),
  );
  const [groups, set_groups] = useState((now?.groups ?? []).join(', '));
  const [wrong, set_wrong] = useState<string | null>(null);
  const [busy, set_busy] = useState(false);
  const submit = async (e: Event) => {
    e.preventDefault();
    let parsed;
    try {
      parsed = tags_parse(tags);
    } catch (error) {
      set_wrong((error as Error).message);
      return;
    }
    set_busy(true);
    const names = groups.split(',').map((name) => name.trim());
    const saved = await labels_save(endpoint, parsed, names.filter(Boolean));
    set_busy(false);
    if (saved) onClose();
  };
  return (
    <Dialog title={`Tags and groups of ${endpoint}`} onClose={onClose}>
      <form onSubmit={(e) => void submit(e)}>
        <label>
          Tags, one key=value a line
          <textarea
            rows={5}
            value={tags}
            spellcheck={false}
            onInput={(e) => set_tags(e.currentTarget.value)}
          />
        </label>
        <label>
          Groups, with commas between; new ones are made
          <input value={groups} onInput={(e) => set_groups(e.currentTarget.value)} />
        </label>
        {wrong && <p role="alert">{wrong}</p>}
        <FormEnd verb="Save" busy={busy} onClose={onClose} />
      </form>
    </Dialog>
  );
}

export function DeviceLabels({ endpoint }: { endpoint: string }) {
  const [editing, set_editing] = useState(false);
  useEffect(() => labels_open(endpoint), [endpoint]);
  const l = labels.value;
  if (!l || l.endpoint !== endpoint) return null;
  const tags = Object.entries(l.tags);
  if (!tags.length && !l.groups.length && !may_engineer.value) return null;
  return (
    <>
      <p class="identity labels">
        {l.groups.map((name) => (
          <a
            class="lchip lchip-group"
            title={`All devices of the group ${name}`}
            href={filter_href({ ...FILTER_NONE, group: [name] })}
          >
            {name}
          </a>
        ))}
        {tags.map(([key, value]) => (
          <a
            class="lchip"
            title={`All devices with the tag ${tag_text(key, value)}`}
            href={filter_href({ ...FILTER_NONE, tag: [value ? `${key}:${value}` : key] })}
          >
            {tag_text(key, value)}
          </a>
        ))}
        {may_engineer.value && (
          <button type="button" class="quiet" onClick={() => set_editing(true)}>
            {tags.length || l.groups.length ? 'Edit tags' : 'Add tags'}
          </button>
        )}
      </p>
      {editing && <Form endpoint={endpoint} onClose={() => set_editing(false)} />}
    </>
  );
}
