/** Which stems of a song are played: the song's present ones, else the draft of a job that is under way. */

import type { Job, SongDetail } from '../api/client'
import type { StemSource } from '../engine/types'

export interface PlayedStem extends StemSource {
  readonly peaks: string
  readonly lufs: number | null // integrated loudness, where it is known
}

export interface Source {
  readonly separation: string
  readonly model: string
  readonly draft: boolean
  readonly stems: readonly PlayedStem[]
  readonly original: StemSource | null // the recording, where it is still here
  readonly chart: string | undefined
}

export function sourceOf(song: SongDetail, job: Job | undefined): Source | null {
  const made = song.separations.find((one) => one.id === song.separation)
  if (made) {
    const chart = [made, ...song.separations.toReversed()].find((one) => one.drums)?.drums?.chart
    const stems = made.stems.map((stem) => stemOf(stem.name, stem.url, stem.peaks, stem.loudness.integrated_lufs))
    return { separation: made.id, model: made.model, draft: made.draft, stems, original: originalOf(song, made.id), chart }
  }
  const preview = job?.preview
  if (!preview) return null
  const stems = Object.entries(preview.stems).map(([name, url]) => stemOf(name, url, preview.peaks[name] ?? '', null))
  return {
    separation: preview.separation,
    model: preview.model,
    draft: true,
    stems,
    original: originalOf(song, preview.separation),
    chart: undefined,
  }
}

function stemOf(name: string, flac: string, peaks: string, lufs: number | null): PlayedStem {
  return { ...sourceAt(name, flac), peaks, lufs }
}

const sourceAt = (name: string, flac: string): StemSource => ({ name, flac, wav: flac.replace(/\.flac(?=\?|$)/, '.wav') })

function originalOf(song: SongDetail, separation: string): StemSource | null {
  const url = song.links['original']
  return url === undefined ? null : sourceAt('original', `${url}?separation=${separation}`)
}
