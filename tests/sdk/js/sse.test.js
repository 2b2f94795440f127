import { scenariosOf } from './scenarios.js';

scenariosOf('sse, json');
