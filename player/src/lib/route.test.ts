import { expect, it } from 'vitest'
import { routeOf } from './route'

it.each([
  ['/', { view: 'library' }],
  ['/add', { view: 'add' }],
  ['/songs/01a2', { view: 'song', id: '01a2' }],
  ['/songs/', { view: 'nowhere' }],
  ['/songs/01a2/x', { view: 'nowhere' }],
  ['/elsewhere', { view: 'nowhere' }],
])('reads %s', (path, route) => expect(routeOf(path)).toEqual(route))
