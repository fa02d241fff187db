import { describe, expect, it } from 'vitest'
import type { Job } from '../api/client'
import { failedJobOf, liveJobOf, ordinal, orphansOf, progressOf, stageOf } from './jobs'

function job(more: Partial<Job>): Job {
  return {
    id: '1',
    song_id: 's',
    status: 'running',
    stage: 'separating',
    progress: 0,
    position: null,
    eta_seconds: null,
    priority: 'normal',
    options: {},
    cached: false,
    attempts: 1,
    created_at: '2026-11-21T10:00:00.000Z',
    started_at: null,
    finished_at: null,
    error: null,
    preview: null,
    result: null,
    links: { self: '', song: null, events: '' },
    ...more,
  }
}

describe('a job in words', () => {
  it('says what it does and how far it is', () => {
    const running = job({ progress: 42.9, eta_seconds: 11.2 })
    expect([stageOf(running), progressOf(running)]).toEqual(['Taking it apart', '42 % · 12 s left'])
    expect(progressOf(job({ progress: 3 }))).toBe('3 %')
  })
  it('says where in the line it waits', () => {
    expect(stageOf(job({ status: 'queued', position: 1 }))).toBe('Next in line')
    expect(stageOf(job({ status: 'queued', position: 12 }))).toBe('Waiting, 12th in line')
    expect(progressOf(job({ status: 'queued', progress: 0, eta_seconds: 30 }))).toBe('30 s left')
  })
  it('counts', () => expect([1, 2, 3, 4, 11, 22, 113].map(ordinal)).toEqual(['1st', '2nd', '3rd', '4th', '11th', '22nd', '113th']))
})

describe('the jobs of a song', () => {
  const failed = job({ id: 'f', status: 'failed', created_at: '2026-11-21T10:00:00.000Z' })
  it('finds the one that is furthest', () => {
    const jobs = [job({ id: 'a', status: 'queued' }), job({ id: 'b', progress: 40 }), job({ id: 'c', song_id: 'other', progress: 90 })]
    expect(liveJobOf(jobs, 's')?.id).toBe('b')
    expect(liveJobOf([failed], 's')).toBeUndefined()
  })
  it('tells of a failure until a later job, or the user, puts it away', () => {
    expect(failedJobOf([failed], 's', [])?.id).toBe('f')
    expect(failedJobOf([failed], 's', ['f'])).toBeUndefined()
    const later = job({ id: 'n', status: 'succeeded', created_at: '2026-11-21T11:00:00.000Z' })
    expect(failedJobOf([later, failed], 's', [])).toBeUndefined()
  })
  it('keeps failures that have no song in sight', () => {
    expect(orphansOf([failed, job({ ...failed, id: 'o', song_id: null })], []).map((one) => one.id)).toEqual(['o'])
  })
})
