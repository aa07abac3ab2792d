/** Starts the page with the record that it holds. */
import { App } from './app.js';
import { byId } from './dom.js';

new App(JSON.parse(byId('record').textContent ?? ''));
