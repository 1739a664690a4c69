/** The same object to its callers, to which methods of one's own can be assigned. */
export function overridable<T extends object>(target: T): T {
  const own: Record<PropertyKey, unknown> = {}
  return new Proxy(target, {
    set: (_target, name, value) => Reflect.set(own, name, value),
    get: (_target, name) => {
      const value: unknown = name in own ? own[name] : Reflect.get(target, name)
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value
    },
  })
}
