import { expect, it } from 'vitest'
import { joined, kindOf, tidy } from './files'

it.each([
  ['song.mp3', 'audio/mpeg', 'audio'],
  ['SONG.FLAC', '', 'audio'],
  ['clip.mov', 'video/quicktime', 'audio'],
  ['drums.mid', 'audio/midi', 'midi'],
  ['Bass.MIDI', '', 'midi'],
  ['cover.png', 'image/png', 'neither'],
  ['notes.txt', '', 'neither'],
])('takes %s (%s) for %s', (name, type, kind) => expect(kindOf({ name, type })).toBe(kind))

it('leaves hidden files out and counts as people do', () => {
  const files = ['10 b.wav', '.DS_Store', '2 a.wav'].map((name) => new File([], name))
  expect(tidy(files).map((file) => file.name)).toEqual(['2 a.wav', '10 b.wav'])
})

it('stages a file once', () => {
  const [a, again, b] = [new File(['x'], 'a', { lastModified: 1 }), new File(['y'], 'a', { lastModified: 1 }), new File(['x'], 'b')]
  expect(joined([a], [again, b]).map((file) => file.name)).toEqual(['a', 'b'])
})
