package http1

import "hash/maphash"

var contentSeed = maphash.MakeSeed()

// contentOf identifies a method and a target; 0: the target is not known.
func contentOf(method, target []byte) uint64 {
	if len(target) == 0 {
		return 0
	}
	return maphash.Bytes(contentSeed, target) ^ maphash.Bytes(contentSeed, method) | 1
}
