/** Plays a chart on the kit in time with the engine: a little ahead, on the clock of its own output. */

import type { Engine, Region } from '../engine/types'
import { upcoming, within, type Chart, type Hit } from '../lib/chart'
import { loudness, hitSound } from './kit'

const AHEAD = 0.35 // seconds that are planned
const EVERY = 60 // ms between two looks
const APART = 0.06 // seconds of difference after which the engine is taken to have jumped

export class Drummer {
  private readonly context = new AudioContext()
  private readonly sounds = new Map<string, AudioBuffer>()
  private readonly timer: number
  private out: GainNode
  private planned = 0 // time of the context up to which hits are planned
  private mark: { clock: number; position: number; speed: number; loop: Region | null } | null = null

  constructor(
    private readonly engine: Engine,
    private readonly chart: Chart,
  ) {
    this.out = this.output()
    this.timer = window.setInterval(() => this.look(), EVERY)
    void this.context.resume()
  }

  close(): void {
    clearInterval(this.timer)
    void this.context.close()
  }

  private output(): GainNode {
    const gain = this.context.createGain()
    gain.gain.value = 0.7
    gain.connect(this.context.destination)
    return gain
  }

  /** Drops what was planned: the song stopped, or is elsewhere. */
  private drop(): void {
    this.out.disconnect()
    this.out = this.output()
    this.mark = null
  }

  private look(): void {
    const { status, speed, loop } = this.engine.state
    if (status !== 'playing') {
      if (this.mark) this.drop()
      return
    }
    const [position, clock] = [this.engine.position(), this.context.currentTime]
    if (!this.mark || this.mark.speed !== speed || this.mark.loop !== loop || !this.goesOn(position, clock)) {
      this.drop()
      this.planned = clock
    }
    this.mark = { clock, position, speed, loop }
    const from = Math.max(this.planned, clock)
    this.planned = clock + AHEAD
    for (const { start, end, after } of upcoming(position, AHEAD * speed, loop)) {
      const [first, last] = within(this.chart.onsets, start, end)
      for (const hit of this.chart.onsets.slice(first, last)) {
        const at = clock + (after + hit.time - start) / speed
        if (at >= from) this.plan(hit, at)
      }
    }
  }

  /** Whether the engine is where it must be if nothing but time has passed. */
  private goesOn(position: number, clock: number): boolean {
    if (!this.mark) return false
    const passed = (clock - this.mark.clock) * this.mark.speed
    const expected = upcoming(this.mark.position, passed, this.mark.loop).at(-1)?.end ?? this.mark.position
    const away = Math.abs(position - expected)
    const round = this.mark.loop ? this.mark.loop.end - this.mark.loop.start : Infinity
    return Math.min(away, Math.abs(round - away)) < APART
  }

  private plan(hit: Hit, at: number): void {
    const heard = at - (this.context.outputLatency || this.context.baseLatency || 0)
    const source = this.context.createBufferSource()
    const gain = this.context.createGain()
    source.buffer = this.soundOf(hit)
    gain.gain.value = loudness(hit.velocity)
    source.connect(gain).connect(this.out)
    source.start(Math.max(this.context.currentTime, heard))
  }

  private soundOf({ lane, note }: Hit): AudioBuffer {
    const name = `${lane} ${note}`
    const known = this.sounds.get(name)
    if (known) return known
    const samples = hitSound(lane, note, this.context.sampleRate)
    const buffer = this.context.createBuffer(1, samples.length, this.context.sampleRate)
    buffer.copyToChannel(samples, 0)
    this.sounds.set(name, buffer)
    return buffer
  }
}
