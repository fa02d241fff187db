import { useEffect, useRef, useState } from 'react'
import { useCover } from './cover'

const ROLES = ['vocals', 'drums', 'bass', 'other'] as const

/** A song's picture; one is drawn from its name where it has none. Looked for once it is in sight. */
export function Cover({ song, title, ready, className = '' }: { song: string; title: string; ready: boolean; className?: string }) {
  const box = useRef<HTMLDivElement>(null)
  const [seen, setSeen] = useState(false)
  useEffect(() => {
    if (!box.current) return
    const watcher = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && setSeen(true))
    watcher.observe(box.current)
    return () => watcher.disconnect()
  }, [])
  const url = useCover(song, ready && seen)
  return (
    <div ref={box} aria-hidden className={`flex shrink-0 items-center justify-center overflow-hidden rounded-lg bg-sunk ${className}`}>
      {url ? <img src={url} alt="" className="size-full object-cover" /> : <Drawn title={title} />}
    </div>
  )
}

function Drawn({ title }: { title: string }) {
  let seed = 7
  for (const letter of title) seed = (seed * 31 + (letter.codePointAt(0) ?? 0)) % 9973
  return (
    <svg viewBox="0 0 24 24" className="size-3/5">
      {ROLES.map((role, at) => {
        const half = 2.5 + ((seed >> (2 * at)) % 6) * 1.3
        return <path key={role} d={`M${4 + 5.33 * at} ${12 - half}v${2 * half}`} stroke={`var(--role-${role})`} strokeWidth="2.4" strokeLinecap="round" />
      })}
    </svg>
  )
}
