import { scenariosOf } from './scenarios.js';

scenariosOf('json');
scenariosOf('protobuf');
