import type { ComponentProps } from 'react'
import { hrefOf } from '../lib/base'
import { go } from '../lib/route'

/** A link within the page; with a key held down it opens a tab, as links do. */
export function Link({ to, onClick, ...rest }: { to: string } & Omit<ComponentProps<'a'>, 'href'>) {
  return (
    <a
      href={hrefOf(to)}
      onClick={(event) => {
        onClick?.(event)
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return
        event.preventDefault()
        go(to)
      }}
      {...rest}
    />
  )
}
