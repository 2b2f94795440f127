import { scenariosOf } from './scenarios.js';

scenariosOf('http_stream, json');
scenariosOf('http_stream, protobuf');
