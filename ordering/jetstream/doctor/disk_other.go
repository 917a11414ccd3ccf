//go:build !linux && !darwin

package doctor

func diskFree(string, string) int64 { return -1 }

// DiskFree is what a user may still write on the disk of a folder, in bytes, or -1.
func DiskFree(string) int64 { return -1 }
