// groups.tsx - static groups: how many devices each has, and making, renaming and deleting them.

import { useEffect, useState } from 'preact/hooks';
import { count_text } from '../format';
import { GROUP_MAX, GROUP_NAME, GROUP_WRONG } from '../labels';
import { filter_href, FILTER_NONE } from '../route';
import {
  group_add,
  group_delete,
  group_rename,
  group_version,
  groups,
  groups_error,
  groups_read,
} from '../store/groups';
import { may_engineer } from '../store/session';
import type { Group } from '../types';
import { Act, Age, Find, Quiet, Unread } from '../ui/bits';
import { Confirm, Dialog, FormEnd } from '../ui/dialog';

const FIND_FROM = 10;

/** What is being done to a group, from the version that was read for it. */
interface Doing {
  verb: 'rename' | 'delete';
  group: Group;
  version: string;
}

function NameField({
  label,
  value,
  onName,
}: {
  label: string;
  value: string;
  onName: (s: string) => void;
}) {
  return (
    <label class="field">
      <span>{label}</span>
      <input
        required
        value={value}
        maxLength={GROUP_MAX}
        pattern={GROUP_NAME}
        title={GROUP_WRONG}
        autocomplete="off"
        spellcheck={false}
        onInput={(e) => onName(e.currentTarget.value)}
      />
    </label>
  );
}

function AddGroup() {
  const [name, set_name] = useState('');
  const submit = async (e: Event) => {
    e.preventDefault();
    if (await group_add(name.trim())) set_name('');
  };
  return (
    <form class="inline-form" onSubmit={(e) => void submit(e)}>
      <NameField label="New group" value={name} onName={set_name} />
      <button class="primary">Make group</button>
    </form>
  );
}

function Rename({ doing, onClose }: { doing: Doing; onClose: () => void }) {
  const [name, set_name] = useState(doing.group.name);
  const submit = async (e: Event) => {
    e.preventDefault();
    const to = name.trim();
    if (to === doing.group.name || (await group_rename(doing.group.name, to, doing.version)))
      onClose();
  };
  return (
    <Dialog title={`Rename ${doing.group.name}`} note="Its devices stay in it." onClose={onClose}>
      <form onSubmit={(e) => void submit(e)}>
        <NameField label="Name" value={name} onName={set_name} />
        <FormEnd verb="Rename" onClose={onClose} />
      </form>
    </Dialog>
  );
}

function GroupLine({ group, onDo }: { group: Group; onDo: (verb: Doing['verb']) => void }) {
  const href = filter_href({ ...FILTER_NONE, group: [group.name] });
  return (
    <li>
      <a href={href} class="group-name">
        <b>{group.name}</b>
      </a>
      <span class="muted">
        {count_text(group.devices)} {group.devices === 1 ? 'device' : 'devices'} · made{' '}
        <Age at={group.created_at} ago />
      </span>
      <span class="spring" />
      {may_engineer.value && (
        <span class="acts">
          <Act name={`Rename ${group.name}`} onPress={() => onDo('rename')}>
            Rename
          </Act>
          <Act name={`Delete ${group.name}`} onPress={() => onDo('delete')}>
            Delete
          </Act>
        </span>
      )}
    </li>
  );
}

function List({ list, onDo }: { list: Group[]; onDo: (v: Doing['verb'], g: Group) => void }) {
  const [find, set_find] = useState('');
  const needle = find.trim().toLowerCase();
  const shown = list.filter((g) => g.name.toLowerCase().includes(needle));
  return (
    <>
      {list.length >= FIND_FROM && <Find what="group" value={find} onFind={set_find} />}
      <ul class="plain-list">
        {shown.map((g) => (
          <GroupLine key={g.name} group={g} onDo={(verb) => onDo(verb, g)} />
        ))}
      </ul>
      {!shown.length && <Quiet>No group is called like that.</Quiet>}
    </>
  );
}

export function GroupsPage() {
  const [doing, set_doing] = useState<Doing | null>(null);
  useEffect(() => void groups_read(), []);
  const list = groups.value;
  const start = async (verb: Doing['verb'], group: Group) => {
    const version = await group_version(group.name);
    if (version) set_doing({ verb, group, version });
  };
  const close = () => set_doing(null);
  return (
    <section class="card page-narrow">
      <header class="card-head">
        <h1>Groups</h1>
        <span class="muted">Sets of devices that people put together</span>
      </header>
      {groups_error.value && <Unread why={groups_error.value} onRetry={() => void groups_read()} />}
      {!list ? (
        !groups_error.value && <Quiet>Reading groups</Quiet>
      ) : list.length === 0 ? (
        <Quiet>
          No groups yet. {may_engineer.value && 'Make one here, or select devices in the '}
          {may_engineer.value && <a href="/">fleet</a>}
          {may_engineer.value && ' and put them into one.'}
        </Quiet>
      ) : (
        <List list={list} onDo={(verb, g) => void start(verb, g)} />
      )}
      {may_engineer.value && <AddGroup />}
      {doing?.verb === 'rename' && <Rename doing={doing} onClose={close} />}
      {doing?.verb === 'delete' && (
        <Confirm
          title={`Delete the group ${doing.group.name}?`}
          text={
            doing.group.devices
              ? `Its devices (${count_text(doing.group.devices)}) stay; only the group goes.`
              : 'It is empty.'
          }
          verb="Delete"
          onYes={() => void group_delete(doing.group.name, doing.version)}
          onClose={close}
        />
      )}
    </section>
  );
}
