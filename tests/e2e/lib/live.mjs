// live.mjs - a client of /api/v1/live for tests: keeps every message it got, with its time, and
// waits for the one a test is after.

import WebSocket from 'ws';
import { patience } from './time.mjs';

export class LiveClient {
  static open(url, token) {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, ['braid.v1', `bearer.${token}`]);
      const client = new LiveClient(socket);
      socket.once('open', () => resolve(client));
      socket.once('error', reject);
      socket.once('unexpected-response', (request, response) =>
        reject(new Error(`live: HTTP ${response.statusCode}`)));
    });
  }

  constructor(socket) {
    this.socket = socket;
    this.messages = []; // {at, op, id, ...}
    this.waiters = new Set();
    this.closed = new Promise((resolve) => socket.once('close', (code) => resolve(code)));
    socket.on('error', () => {});
    socket.on('message', (data) => {
      const frame = JSON.parse(data.toString());
      for (const message of Array.isArray(frame) ? frame : [frame]) {
        const kept = { at: Date.now(), ...message };
        this.messages.push(kept);
        for (const waiter of [...this.waiters]) waiter(kept);
      }
    });
  }

  send(message) {
    this.socket.send(JSON.stringify(message));
  }

  // subscribe: sends the subscription and returns its snapshot.
  async subscribe(id, topic, more = {}) {
    this.send({ op: 'subscribe', id, topic, ...more });
    return this.next((message) => message.id === id && ['snapshot', 'error'].includes(message.op));
  }

  // next(match, ms): the first message from now on (or already there, with {past: true}) that
  // matches.
  next(match, ms = 5000, { past = false } = {}) {
    const old = past && this.messages.find(match);
    if (old) return Promise.resolve(old);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiters.delete(waiter);
        const seen = JSON.stringify(this.messages.slice(-5)).slice(0, 2000);
        reject(new Error(`no such live message within ${patience(ms)} ms; last ones: ${seen}`));
      }, patience(ms));
      const waiter = (message) => {
        if (!match(message)) return;
        clearTimeout(timer);
        this.waiters.delete(waiter);
        resolve(message);
      };
      this.waiters.add(waiter);
    });
  }

  close() {
    this.socket.close();
    return Promise.race([this.closed, new Promise((resolve) => setTimeout(resolve, 500).unref())]);
  }
}
