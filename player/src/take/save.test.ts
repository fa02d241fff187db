import { expect, it } from 'vitest'
import { nameIn } from './save'

it.each([
  ["inline; filename=\"a.mp3\"; filename*=UTF-8''S%C3%B6ng%20-%20mix.mp3", 'Söng - mix.mp3'],
  ["inline; filename*=UTF-8''%E0%A4%A", null],
  ['inline', null],
])('reads %s', (disposition, name) => expect(nameIn(new Headers({ 'Content-Disposition': disposition }))).toBe(name))
