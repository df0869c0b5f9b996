// main.tsx - composes the console: styles, clock, address bar, session, then the shell.

import { render } from 'preact';
import './css/base.css';
import './css/parts.css';
import './css/device.css';
import './css/labels.css';
import './css/pages.css';
import './css/storage.css';
import { route_start } from './route';
import { session_start } from './store/session';
import { ui_start } from './store/ui';
import { Shell } from './views/shell';

ui_start();
route_start();
render(<Shell />, document.getElementById('app')!);
void session_start();
