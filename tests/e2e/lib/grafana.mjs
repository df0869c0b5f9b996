// grafana.mjs - reads the shipped dashboards and alert rules the way Grafana and Prometheus do: which
// queries there are, and what Grafana's macros and variables become before a database sees them.

import fs from 'node:fs';
import path from 'node:path';
import { root } from './stack.mjs';

export const folder = path.join(root, 'grafana');
export const sources = { 'braid-postgres': 'postgres', 'braid-prometheus': 'prometheus' };

export function dashboards() {
  const dir = path.join(folder, 'dashboards');
  return fs.readdirSync(dir).filter((name) => name.endsWith('.json')).sort()
    .map((name) => ({ file: name, ...JSON.parse(fs.readFileSync(path.join(dir, name), 'utf8')) }));
}

export const panelsOf = (dashboard) =>
  dashboard.panels.flatMap((panel) => [panel, ...(panel.panels || [])]).filter((panel) => panel.type !== 'row');

// queriesOf: {where, source, text, format, instant, variable} of variables, annotations and panels.
export function queriesOf(dashboard) {
  const found = [];
  const add = (where, datasource, rest) => found.push({ where: `${dashboard.title}: ${where}`,
    datasource, source: sources[datasource?.uid], ...rest });
  for (const variable of dashboard.templating.list) {
    if (variable.type === 'query') {
      add(`variable ${variable.name}`, variable.datasource, { text: variable.query, variable: variable.name });
    }
  }
  for (const { name, datasource, target } of dashboard.annotations.list) {
    add(`annotation ${name}`, datasource, { text: target.rawSql ?? target.expr, format: target.format });
  }
  for (const panel of panelsOf(dashboard)) {
    for (const target of panel.targets || []) {
      add(`${panel.title} ${target.refId}`, target.datasource,
        { text: target.rawSql ?? target.expr, format: target.format, instant: target.instant === true });
    }
  }
  return found;
}

const quote = (value) => `'${String(value).replaceAll("'", "''")}'`;

// expand: what Grafana sends. Context: from, to (Date), interval, rateInterval, range, variables
// {name: [values]}. What it does not know is an error, so that no dashboard uses it unnoticed.
export function expand(text, { from, to, interval, rateInterval, range, variables }) {
  const [first, last] = [quote(from.toISOString()), quote(to.toISOString())];
  const expanded = text
    .replace(/\$__timeFilter\(([\w.]+)\)/g, (_, column) => `${column} BETWEEN ${first} AND ${last}`)
    .replaceAll('$__timeFrom()', first)
    .replaceAll('$__timeTo()', last)
    .replaceAll('$__rate_interval', rateInterval)
    .replaceAll('$__interval', interval)
    .replaceAll('$__range', range)
    .replaceAll('$__searchFilter', '%')
    .replace(/\$\{(\w+):sqlstring\}/g, (whole, name) => (variables[name] || []).map(quote).join(',') || whole);
  if (/\$\{|\$__|\$[a-z]/.test(expanded)) throw new Error(`a macro or variable nobody knows: ${expanded}`);
  return expanded;
}

// alertRules: {name, severity, text} as they stand in alerts.yml.
export function alertRules() {
  const text = fs.readFileSync(path.join(folder, 'prometheus/alerts.yml'), 'utf8');
  return text.split(/^ *- alert: /m).slice(1).map((part) => ({
    name: part.match(/^\w+/)[0], severity: part.match(/severity: (\w+)/)?.[1], text: part }));
}

// metricsIn: names of metrics a PromQL text asks for; selectorsOf: with their labels.
const selector = /\b((?:braid|lwm2m|sparkplug|process)_\w+|up)\b(\{[^}]*\})?/g;
export const metricsIn = (text) => [...text.matchAll(selector)].map((match) => match[1]);
export const selectorsOf = (text) => [...text.matchAll(selector)].map((match) => match[0]);
