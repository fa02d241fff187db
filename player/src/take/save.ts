/** Files from the server onto the user's disk. */

import { answered } from '../api/client'

function click(href: string, name: string): void {
  const link = document.createElement('a')
  link.href = href
  link.download = name
  document.body.append(link)
  link.click()
  link.remove()
}

/** Has the server make a file, then hands it to the browser's downloads. Throws an `ApiError`. */
export async function saveMade(url: string, name = ''): Promise<void> {
  await answered(url, { method: 'HEAD' })
  click(url, name)
}

const TIDY = 60_000 // ms after which a saved file is let go

/** Fetches what is made for this one request, and saves it; gives its headers. Throws an `ApiError`. */
export async function saveOnce(url: string, name: string): Promise<Headers> {
  const response = await answered(url)
  const file = URL.createObjectURL(await response.blob())
  click(file, nameIn(response.headers) ?? name)
  setTimeout(() => URL.revokeObjectURL(file), TIDY)
  return response.headers
}

/** The file name in a Content-Disposition (RFC 6266). */
export function nameIn(headers: Headers): string | null {
  const encoded = /filename\*=UTF-8''([^;]+)/i.exec(headers.get('Content-Disposition') ?? '')?.[1]
  try {
    return encoded ? decodeURIComponent(encoded) : null
  } catch {
    return null
  }
}
