import { describe, expect, it } from 'vitest'
import { blamed, sentence } from './client'

describe('a message of the API', () => {
  it('becomes a sentence', () => expect([sentence('no such song'), sentence('Wait a moment!'), sentence(' ')]).toEqual(['No such song.', 'Wait a moment!', '']))
  it('leaves the name of a file as it is', () => expect(sentence('cut.flac: cannot be decoded')).toBe('cut.flac: cannot be decoded.'))
  it('is told apart from the file that it blames', () => {
    expect(blamed('a song.mp3: not an audio file.')).toEqual({ file: 'a song.mp3', text: 'Not an audio file.' })
    expect(blamed('the disk is full: 3 bytes left')).toEqual({ file: '', text: 'The disk is full: 3 bytes left.' })
  })
})
