import { expect, it } from 'vitest'
import type { Job, Separation, SongDetail } from '../api/client'
import { sourceOf } from './source'

const separation = (id: string, names: string[], drums = false): Separation => ({
  id,
  model: 'sketch',
  draft: true,
  created_at: '',
  gain_db: 0,
  residual_db: null,
  warnings: [],
  stems: names.map((name) => ({ name, loudness: { integrated_lufs: -20, true_peak_dbtp: -3 }, url: `/s/${name}.flac?separation=${id}`, peaks: `/p/${name}.dat` })),
  drums: drums ? { chart: `/chart/${id}`, midi: '', midi_quantised: null, picture: '', onsets: 1, bpm: null } : null,
})
const song = (present: string | null, ...separations: Separation[]) => ({ id: 'x', separation: present, separations, links: {} }) as unknown as SongDetail
const preview = { preview: { separation: 'd', model: 'sketch', draft: true, stems: { vocals: '/s/vocals.flac?separation=d' }, peaks: { vocals: '/p' } } } as unknown as Job

it('takes the present stems, and a chart from whichever separation has one', () => {
  const source = sourceOf(song('b', separation('a', ['drums'], true), separation('b', ['drums', 'bass'])), preview)
  expect(source).toMatchObject({ separation: 'b', chart: '/chart/a' })
  expect(source?.stems[1]).toMatchObject({ name: 'bass', flac: '/s/bass.flac?separation=b', wav: '/s/bass.wav?separation=b', lufs: -20 })
})

it('takes the draft of a job while there is nothing else, and else nothing', () => {
  expect(sourceOf(song(null), preview)).toMatchObject({ separation: 'd', draft: true })
  expect(sourceOf(song(null), undefined)).toBeNull()
})

it('has the recording where the studio still has it', () => {
  const made = song('a', separation('a', ['vocals']))
  expect(sourceOf(made, undefined)?.original).toBeNull()
  const kept = { ...made, links: { original: '/o/original.flac' } }
  expect(sourceOf(kept, undefined)?.original).toEqual({ name: 'original', flac: '/o/original.flac?separation=a', wav: '/o/original.wav?separation=a' })
})
