/** A waveform on a canvas: painted when its span, size, colours or sound change, never for each frame. */

import { useEffect, useRef } from 'react'
import { columnsOf, type Peaks } from '../lib/peaks'
import { useTheme } from '../lib/theme'
import type { View } from './view'

interface Props {
  peaks: Peaks | undefined
  view: View
  width: number
  height: number
  scale: number // 1 is full scale to the edge
  colour: string
  faded?: boolean
}

export function Waveform({ peaks, view, width, height, scale, colour, faded = false }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const theme = useTheme()
  const { start, span } = view
  useEffect(() => {
    if (!canvas.current || !peaks || width <= 0) return
    paint(canvas.current, peaks, { start, span, width, height, scale })
  }, [peaks, start, span, width, height, scale, colour, faded, theme])
  return (
    <canvas
      ref={canvas}
      aria-hidden
      className={`block w-full transition-opacity duration-200 ${faded ? 'opacity-35' : ''}`}
      style={{ height, color: faded ? 'var(--faint)' : colour }}
    />
  )
}

interface Area {
  start: number
  span: number
  width: number
  height: number
  scale: number
}

const BAR = 3 // CSS pixels of a bar and its gap, where much sound goes into each

function paint(canvas: HTMLCanvasElement, peaks: Peaks, area: Area): void {
  const { start, span, width, height, scale } = area
  const ratio = Math.min(3, window.devicePixelRatio || 1)
  canvas.width = Math.round(width * ratio)
  canvas.height = Math.round(height * ratio)
  const pen = canvas.getContext('2d')
  if (!pen) return
  pen.scale(ratio, ratio)
  pen.fillStyle = getComputedStyle(canvas).color
  const middle = height / 2
  const half = middle - 1
  const dense = (span / width) * peaks.sampleRate > 400 // samples in a CSS pixel
  if (dense) {
    const bars = Math.ceil(width / BAR)
    const columns = columnsOf(peaks, start, start + (span * bars * BAR) / width, bars)
    pen.beginPath()
    for (let bar = 0; bar < bars; bar += 1) {
      const tall = Math.max(0.75, Math.min(half, Math.max(-(columns[2 * bar] ?? 0), columns[2 * bar + 1] ?? 0) * scale * half))
      pen.roundRect(bar * BAR, middle - tall, BAR - 1, 2 * tall, 1)
    }
    pen.fill()
    return
  }
  const steps = Math.ceil(width * 2)
  const columns = columnsOf(peaks, start, start + span, steps)
  const x = (at: number) => (at * width) / steps
  pen.beginPath()
  pen.moveTo(0, middle)
  for (let at = 0; at < steps; at += 1) pen.lineTo(x(at), middle - Math.max(0.5, Math.min(half, (columns[2 * at + 1] ?? 0) * scale * half)))
  for (let at = steps - 1; at >= 0; at -= 1) pen.lineTo(x(at), middle - Math.min(-0.5, Math.max(-half, (columns[2 * at] ?? 0) * scale * half)))
  pen.fill()
}
