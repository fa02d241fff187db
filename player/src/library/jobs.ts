/** Jobs in words. */

import type { Job } from '../api/client'
import { left } from '../lib/format'

const STAGES: Readonly<Record<string, string>> = {
  queued: 'Waiting',
  hashing: 'Reading the file',
  preview: 'Making a draft',
  reading: 'Reading the song',
  downloading: 'Downloading the model, once',
  separating: 'Taking it apart',
  encoding: 'Writing the stems',
  transcribing: 'Charting the drums',
  saving: 'Saving',
}

export const isLive = (job: Job): boolean => job.status === 'queued' || job.status === 'running'

/** What a job does now: `Taking it apart`, `Waiting, 2nd in line`. */
export function stageOf(job: Job): string {
  if (job.status !== 'queued') return STAGES[job.stage] ?? 'Working'
  return job.position === null || job.position <= 1 ? 'Next in line' : `Waiting, ${ordinal(job.position)} in line`
}

/** The rest of that line: `42 %`, `12 s left`. */
export function progressOf(job: Job): string {
  const percent = job.status === 'running' ? `${Math.floor(job.progress)} %` : ''
  const eta = job.eta_seconds === null ? '' : left(job.eta_seconds)
  return [percent, eta].filter(Boolean).join(' · ')
}

/** `1st`, `2nd`, `11th`. */
export function ordinal(number: number): string {
  const teens = number % 100 > 10 && number % 100 < 14
  return `${number}${(teens ? undefined : { 1: 'st', 2: 'nd', 3: 'rd' }[number % 10]) ?? 'th'}`
}

/** The job of a song that lives, the one furthest ahead. */
export function liveJobOf(jobs: readonly Job[], song: string): Job | undefined {
  const live = jobs.filter((job) => job.song_id === song && isLive(job))
  return live.toSorted((a, b) => b.progress - a.progress)[0]
}

/** The job of a song that failed, unless another one for it came later or the user put it away. */
export function failedJobOf(jobs: readonly Job[], song: string, away: readonly string[]): Job | undefined {
  const last = jobs.filter((job) => job.song_id === song).toSorted((a, b) => b.created_at.localeCompare(a.created_at))[0]
  return last?.status === 'failed' && !away.includes(last.id) ? last : undefined
}

/** Jobs whose upload was no song, so that no row of the library shows them. */
export function orphansOf(jobs: readonly Job[], away: readonly string[]): Job[] {
  return jobs.filter((job) => job.song_id === null && job.status === 'failed' && !away.includes(job.id))
}
