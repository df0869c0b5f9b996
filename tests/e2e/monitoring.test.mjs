// The files of grafana/ and the tables of the documentation, without starting anything: do they hold
// together, and do they say what the server says?

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { build, root } from './lib/stack.mjs';
import { alertRules, dashboards, folder, metricsIn, panelsOf, queriesOf, sources } from './lib/grafana.mjs';

const braidd = path.join(root, 'build', build, 'braidd');
const wrap = build === 'tsan' ? ['setarch', '-R'] : [];
const read = (...where) => fs.readFileSync(path.join(root, ...where), 'utf8');
const run = (file, ...args) => {
  try {
    return execFileSync(file, args, { encoding: 'utf8', cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    throw new Error(`${file} ${args.join(' ')}: ${error.stdout}${error.stderr}`);
  }
};

test('Prometheus accepts its configuration and its rules', () => {
  run('promtool', 'check', 'config', path.join(folder, 'prometheus/prometheus.yml'));
  run('promtool', 'check', 'rules', path.join(folder, 'prometheus/alerts.yml'));
});

test('the alert rules fire when they should and not before', () => {
  run('promtool', 'test', 'rules', path.join(folder, 'prometheus/alerts.test.yml'));
});

test('every alert has a severity, a test and words in the documentation', () => {
  const tests = read('grafana/prometheus/alerts.test.yml');
  const words = read('docs/monitoring.md');
  const names = new Set();
  for (const { name, severity } of alertRules()) {
    assert.ok(!names.has(name), `${name} twice`);
    names.add(name);
    assert.match(severity, /^(critical|warning)$/, name);
    assert.ok(tests.includes(`alertname="${name}"`), `${name} has no test`);
    assert.ok(words.includes(`\`${name}\``), `docs/monitoring.md does not explain ${name}`);
  }
  assert.ok(names.size > 15);
});

test('dashboards have uids of their own, known data sources and words in the documentation', () => {
  const uids = new Set();
  const words = read('docs/monitoring.md');
  for (const dashboard of dashboards()) {
    const { uid, title, file } = dashboard;
    assert.match(uid, /^braid-[a-z0-9]+$/, file);
    assert.equal(file, `${uid.replace('braid-', '')}.json`);
    assert.ok(!uids.has(uid), `${uid} twice`);
    uids.add(uid);
    assert.equal(dashboard.id, null, `${file}: an id belongs to one Grafana`);
    assert.ok(words.includes(`**${title}**`), `docs/monitoring.md does not explain ${title}`);
    const panels = panelsOf(dashboard);
    assert.equal(new Set(panels.map((panel) => panel.id)).size, panels.length, `${file}: a panel id twice`);
    for (const panel of panels) {
      assert.ok(panel.title && panel.targets?.length, `${file}: panel ${panel.id}`);
      assert.ok(panel.gridPos.x + panel.gridPos.w <= 24, `${file}: ${panel.title} is out of the grid`);
      assert.ok(sources[panel.datasource?.uid], `${file}: ${panel.title}: ${JSON.stringify(panel.datasource)}`);
    }
    for (const query of queriesOf(dashboard)) {
      assert.ok(query.source, `${query.where}: ${JSON.stringify(query.datasource)}`);
      assert.equal(query.datasource.type, query.source, query.where);
    }
  }
  assert.ok(uids.size >= 6);
});

test('panels do not lie on each other', () => {
  for (const dashboard of dashboards()) {
    const taken = new Map();
    for (const { title, gridPos: { x, y, w, h } } of panelsOf(dashboard)) {
      for (let row = y; row < y + h; row++) {
        for (let column = x; column < x + w; column++) {
          const other = taken.get(`${column},${row}`);
          assert.ok(!other, `${dashboard.file}: ${title} lies on ${other}`);
          taken.set(`${column},${row}`, title);
        }
      }
    }
  }
});

test('dashboards and provisioning name no host and no password', () => {
  const yaml = read('grafana/provisioning/datasources/braid.yml');
  for (const { file } of dashboards()) {
    const text = read('grafana/dashboards', file);
    assert.doesNotMatch(text, /https?:\/\/|localhost|\d+\.\d+\.\d+\.\d+|:\d{4,5}\b(?!-)/, file);
  }
  for (const [, url] of yaml.matchAll(/^ +url: (.*)$/gm)) assert.match(url, /^\$\{BRAID_GRAFANA_[A-Z]+\}$/);
  assert.match(yaml, /password: \$__file\{/);
  const words = read('docs/monitoring.md');
  for (const [name] of yaml.matchAll(/\bBRAID_GRAFANA_[A-Z_]+/g)) assert.ok(words.includes(name), name);
  const uids = [...yaml.matchAll(/^ +uid: (.*)$/gm)].map((match) => match[1]);
  assert.deepEqual(uids.sort(), Object.keys(sources).sort());
});

test('queries of one device take its name as a quoted value, and long tables end', () => {
  for (const query of dashboards().flatMap(queriesOf).filter((q) => q.source === 'postgres')) {
    assert.doesNotMatch(query.text, /\$(device|series)\b|\$\{(device|series)\}/, `${query.where} quotes by hand`);
    assert.doesNotMatch(query.text, /\bpublic\./, query.where);
    const isLong = query.format === 'table' && /ORDER BY/.test(query.text) && !/GROUP BY/.test(query.text);
    assert.ok(!isLong || /LIMIT \d+$/.test(query.text), `${query.where} has no LIMIT`);
    assert.ok(!/grafana\.(text_samples|timeline)\b/.test(query.text) || /\$__timeFilter\(/.test(query.text),
      `${query.where} reads all of history`);
    assert.doesNotMatch(query.text, /grafana\.samples\b/, `${query.where} unpacks all of history`);
  }
});

test('what dashboards and alerts ask for is in the table of metrics', () => {
  const table = run(...[...wrap, braidd, 'help', '--metrics']);
  const known = (name) => name === 'up' || name.startsWith('process_')
    || table.includes(`\`${name}\``) || table.includes(`\`${name.replace(/_(bucket|sum|count)$/, '')}\` | \`le\``);
  const queries = dashboards().flatMap(queriesOf).filter((query) => query.source === 'prometheus');
  for (const { where, text } of [...queries, ...alertRules().map(({ name, text: t }) => ({ where: name, text: t.match(/expr: ([^]*?)\n +(for|labels):/)[1] }))]) {
    const names = metricsIn(text);
    assert.ok(names.length || /ALERTS/.test(text), where);
    for (const name of names) assert.ok(known(name), `${where}: braidd has no ${name}`);
  }
  const asked = queries.flatMap(({ text }) => metricsIn(text));
  for (const name of ['lwm2m_active_devices', 'sparkplug_devices_online']) assert.ok(asked.includes(name), name);
});

test('docs/configuration.md and docs/metrics.md have the tables of this braidd', () => {
  run('tests/tools/doc-tables', ...wrap, braidd);
});
