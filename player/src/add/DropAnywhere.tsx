import { useEffect, useState } from 'react'
import { go } from '../lib/route'
import { dropped } from './files'
import { stage } from './staged'

/** Takes files that are dropped anywhere on the page, and leads to where they are added. */
export function DropAnywhere() {
  const [over, setOver] = useState(false)
  useEffect(() => {
    let depth = 0
    const carries = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false
    const enter = (event: DragEvent) => {
      if (!carries(event)) return
      depth += 1
      setOver(true)
    }
    const leave = () => {
      depth = Math.max(0, depth - 1)
      if (depth === 0) setOver(false)
    }
    const hover = (event: DragEvent) => carries(event) && event.preventDefault()
    const take = (event: DragEvent) => {
      depth = 0
      setOver(false)
      if (!event.dataTransfer || !carries(event)) return
      event.preventDefault()
      void dropped(event.dataTransfer).then((files) => {
        stage(files)
        go('/add')
      })
    }
    const stop = new AbortController()
    const { signal } = stop
    addEventListener('dragenter', enter, { signal })
    addEventListener('dragleave', leave, { signal })
    addEventListener('dragover', hover, { signal })
    addEventListener('drop', take, { signal })
    return () => stop.abort()
  }, [])
  if (!over) return null
  return (
    <div className="pointer-events-none fixed inset-0 z-50 flex items-center justify-center bg-canvas/85 backdrop-blur-sm">
      <div className="rounded-3xl border-2 border-dashed border-strong px-16 py-12 text-center">
        <p className="text-xl font-semibold tracking-tight">Drop it here</p>
        <p className="mt-1 text-soft">Songs, stems, MIDI, or whole folders of them</p>
      </div>
    </div>
  )
}
