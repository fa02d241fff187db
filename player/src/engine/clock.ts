/** Where in the song we are: from the mixer's reports and the time that sound needs to the ear. */

import type { Flow, Report } from './dsp/deck'
import { run, type Span, turned } from './dsp/path'

const KEPT = 2 // seconds of reports, more than any output takes

type Timed = Pick<Report, 'position' | 'rate' | 'flow'> & { readonly time: number }

export class Clock {
  private reports: Timed[] = []

  constructor(private readonly song: { sampleRate: number; length: number }) {}

  /** Playback jumped: what was reported before says nothing any more. */
  jump(position: number, time: number): void {
    this.reports = [{ position, rate: 1, flow: 'stopped', time }]
  }

  add(report: Timed): void {
    this.reports.push({ position: report.position, rate: report.rate, flow: report.flow, time: report.time })
    while (this.reports.length > 1 && this.reports[1]!.time < report.time - KEPT) this.reports.shift()
  }

  get flow(): Flow {
    return this.reports.at(-1)?.flow ?? 'stopped'
  }

  /** The sample that leaves the mixer at `time`; a fraction of one, too. */
  at(time: number, loop: Span | null): number {
    const report = this.reports.findLast((one) => one.time <= time) ?? this.reports[0]
    if (!report) return 0
    if (report.flow !== 'playing' || time <= report.time) return report.position
    let frames = (time - report.time) * report.rate * this.song.sampleRate
    let { position } = report
    while (frames > 0) {
      const step = run(position, frames, loop, this.song.length)
      if (step === 0) break
      frames -= step
      position = turned(position + step, loop)
    }
    return position
  }
}
