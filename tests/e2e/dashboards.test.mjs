// Every query of every dashboard and every alert expression, asked of the real thing: PostgreSQL as the
// role dashboards have, and Debian's Prometheus fetching from braidd with the shipped configuration.
// A panel that shows nothing on a fleet where everything has happened is a broken panel.

import { before, test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Part, freePorts, root, sleep, until, withStack } from './lib/stack.mjs';
import { alertRules, dashboards, expand, queriesOf, selectorsOf } from './lib/grafana.mjs';

const device = 'sim-t-00001';
const lost = 'sim-t-00005';
const gap = 'sim-t-00003'; // the fourth sleeps

// The shipped files, but scraping and evaluating every second, from our server.
async function startPrometheus(stack) {
  const dir = path.join(stack.dir, 'prometheus');
  fs.cpSync(path.join(root, 'grafana/prometheus'), dir, { recursive: true });
  const config = path.join(dir, 'prometheus.yml');
  const text = fs.readFileSync(config, 'utf8');
  fs.writeFileSync(config, text.replace(/(_interval): 15s/g, '$1: 1s'));
  fs.writeFileSync(path.join(dir, 'targets/braidd.yml'), `- targets: ['127.0.0.1:${stack.ports.metrics}']\n`);
  const { prometheus: port } = await freePorts(['prometheus']);
  const url = `http://127.0.0.1:${port}`;
  const part = new Part(stack, 'prometheus', {
    command: () => ['prometheus', `--config.file=${config}`, `--storage.tsdb.path=${dir}/data`,
      `--web.listen-address=127.0.0.1:${port}`, '--log.level=warn'],
    isReady: async () => (await fetch(`${url}/-/ready`)).status === 200,
  });
  stack.closers.push(() => part.stop());
  await part.start();
  return async (where, params = {}) => {
    const answer = await (await fetch(`${url}/api/v1/${where}?${new URLSearchParams(params)}`)).json();
    assert.equal(answer.status, 'success', `${answer.error}: ${JSON.stringify(params)}`);
    return answer.data;
  };
}

const readIt = { op: 'read', path: '/3/0/0' };

// Everything dashboards tell of happens: values, words, a loss, a gap, commands, a refusal, a browser.
async function liveALittle(stack) {
  await until(async () => (await stack.metric('sparkplug_devices_online')) === 5, 30000, 'five devices');
  await until(async () => (await stack.metric('lwm2m_active_devices')) === 5, 30000, 'five registrations');
  await stack.tell(`break ${gap} gap`);
  await stack.tell(`break ${lost} power`);
  await (await stack.live()).subscribe('one', 'device', { endpoints: [device] });
  const console = await stack.console();
  await console.publishAsync('spBv1.0/short/DBIRTH/old-prototype', '', { qos: 1 });
  await stack.sql("INSERT INTO poisoned (kind, sqlstate, reason) VALUES ('sample', '22003', 'out of range')");
  const has = (view, where) => until(
    async () => (await stack.sql(`SELECT FROM grafana.${view} WHERE ${where} LIMIT 1`)).length, 30000, `${view}: ${where}`);
  await has('devices', `endpoint = '${lost}' AND status = 'lost'`);
  await stack.api('POST', `/devices/${lost}/commands`, readIt);
  for (let i = 0; i < 3; i++) { // between two scrapes, or no rate is seen
    const command = await stack.api('POST', `/devices/${device}/commands?wait=10s`, readIt);
    assert.equal(command.status, 200, command.text);
    await sleep(1000);
  }
  await has('samples', `endpoint = '${device}'`);
  await stack.withClient('postgres', 'braid', (client) => client.query(`INSERT INTO storage_device
    SELECT id, 5000, 26000, now() FROM device ON CONFLICT DO NOTHING`)); // counting it takes its time
  await has('latest', `endpoint = '${device}'`);
  await has('commands', `endpoint = '${device}' AND state = 'succeeded'`);
  await has('commands', `endpoint = '${lost}' AND state = 'queued'`);
  await has('devices', "fault <> ''");
  await has('devices', 'NOT sparkplug_conformant');
  await has('timeline', `endpoint = '${gap}' AND kind = 'sequence_gap'`);
}

withStack('dashboards and alerts', { devices: 5 }, (stack) => {
  let prometheus;
  let context;

  before(async () => {
    const from = new Date(Date.now() - 600000);
    prometheus = await startPrometheus(stack);
    const scrapes = (n) => until(async () => {
      const counted = await prometheus('query', { query: 'count_over_time(braid_samples_total{stage="stored"}[5m])' });
      return Number(counted.result[0]?.value[1]) >= n;
    }, 30000, `${n} scrapes`);
    await scrapes(2); // Prometheus takes its time before the first
    await liveALittle(stack);
    await scrapes(7);
    context = {
      from, to: new Date(Date.now() + 1000), interval: '5s', rateInterval: '5s', range: '60s',
      variables: { device: [device] },
    };
  });

  // asGrafana: rows, as the role of the dashboards.
  const asGrafana = (text) =>
    stack.withClient('braid_grafana', 'braid', async (client) => {
      const answer = await client.query(text);
      return answer;
    });

  async function ask(query) {
    const text = expand(query.text, context);
    if (query.source === 'postgres') {
      const answer = await asGrafana(text);
      if (query.format === 'time_series') {
        assert.equal(answer.fields[0].name, 'time', `${query.where}: the first column of a series is its time`);
        assert.ok(answer.rows.every((row) => row.time instanceof Date), query.where);
      }
      // A lone number is a count of something that has happened.
      const [number] = Object.values(answer.rows[0] || {});
      const isCount = answer.rows.length === 1 && answer.fields.length === 1 && /^\d+$/.test(number);
      return isCount ? Number(number) : answer.rows.length;
    }
    const data = query.instant
      ? await prometheus('query', { query: text })
      : await prometheus('query_range', {
        query: text, step: '1', start: String(Date.now() / 1000 - 60), end: String(Date.now() / 1000) });
    const values = data.result.flatMap((series) => (query.instant ? [series.value] : series.values));
    return values.filter(([, value]) => value !== 'NaN').length;
  }

  for (const dashboard of dashboards()) {
    test(`every query of "${dashboard.title}" returns rows`, async () => {
      // Its variables first: later ones and the panels use what they give.
      for (const query of queriesOf(dashboard).filter((q) => q.variable)) {
        const { rows } = await asGrafana(expand(query.text, context));
        assert.ok(rows.length, `${query.where}: no rows`);
        const values = rows.map((row) => Object.values(row)[0]);
        if (query.variable === 'device') assert.ok(values.includes(device));
        else context.variables[query.variable] = values;
      }
      const empty = [];
      for (const query of queriesOf(dashboard).filter((q) => !q.variable)) {
        try {
          const rows = await until(() => ask(query), 3000).catch((error) => (/last seen: 0/.test(error) ? 0 : Promise.reject(error)));
          if (!rows) empty.push(`${query.where}: no rows: ${query.text}`);
        } catch (error) {
          empty.push(`${query.where}: ${error.message}: ${expand(query.text, context)}`);
        }
      }
      assert.deepEqual(empty, []);
    });
  }

  test('every alert expression parses, is evaluated, and names series that exist', async () => {
    const wanted = alertRules();
    const rules = (await prometheus('rules', { type: 'alert' })).groups.flatMap((group) => group.rules);
    assert.deepEqual(rules.map((rule) => rule.name).sort(), wanted.map((rule) => rule.name).sort());
    for (const rule of rules) {
      assert.equal(rule.health, 'ok', `${rule.name}: ${rule.lastError}`);
      await prometheus('query', { query: rule.query });
      for (const selector of selectorsOf(rule.query)) {
        await until(async () => (await prometheus('query', { query: selector })).result.length, 5000,
          `${rule.name}: nothing is called ${selector}`);
      }
    }
  });

  test('the numbers that existing dashboards ask for are the fleet\'s', async () => {
    const value = async (query) => Number((await prometheus('query', { query })).result[0]?.value[1]);
    // What Prometheus has is up to a scrape old.
    for (const name of ['lwm2m_active_devices', 'sparkplug_devices_online']) {
      await until(async () => (await value(name)) === (await stack.metric(name)), 10000, name);
    }
    await until(async () => (await value('sum(braid_devices{status="lost"})')) === 1, 10000);
    await until(async () => (await value('braid_sequence_gaps_total')) >= 1);
    await until(async () => (await value('braid_sequence_lost_total')) >= 3, 5000, 'the simulator leaves out three at a time');
    await until(async () => (await value('lwm2m_active_devices')) >= 3);
  });

  test('dashboards see the views and nothing else, and not for ever', async () => {
    const { rows } = await asGrafana('SHOW statement_timeout');
    assert.equal(rows[0].statement_timeout, '15s');
    for (const table of ['app_user', 'app_session', 'api_token', 'audit_log', 'command', 'device', 'sample', 'poisoned']) {
      await assert.rejects(asGrafana(`SELECT * FROM public.${table}`), /permission denied/, table);
    }
    await assert.rejects(asGrafana('DELETE FROM grafana.set_aside'), /permission denied/);
    const views = await asGrafana("SELECT table_name FROM information_schema.views WHERE table_schema = 'grafana'");
    for (const { table_name: view } of views.rows) await asGrafana(`SELECT * FROM grafana.${view} LIMIT 1`);
  });

  test('a day of one series is found through indexes', async () => {
    const { rows } = await asGrafana(`EXPLAIN (COSTS OFF) ${expand(
      "SELECT date_bin('$__interval', ts, timestamptz '2000-01-01 00:00:00+00') AS time, avg(value) FROM grafana.samples "
      + "WHERE endpoint = ${device:sqlstring} AND series = 'spb:/x' AND $__timeFilter(ts) GROUP BY 1", context)}`);
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    assert.doesNotMatch(plan, /Seq Scan on sample/, plan);
  });

  test('an alert is on its way seconds after braidd is gone', async () => {
    await stack.server.stop();
    await until(async () => {
      const rules = (await prometheus('rules', { type: 'alert' })).groups.flatMap((group) => group.rules);
      return rules.find((rule) => rule.name === 'BraidDown').state === 'pending';
    }, 15000, 'BraidDown pending');
  });
});
