package zone

import (
	"encoding/binary"

	"github.com/google/uuid"
)

// Iceberg doesn't record the schema that a data file was written with, nor the order of a unit's files. Qanat keeps both in the random
// id of the file's name, a UUID of version 8 (RFC 9562, 5.8): 16 bits that mark it, 32 of the schema's id, 12 of the part.
const (
	fileIDTag = 0x9a4a
	mostParts = 1 << 12
)

// fileID names a file. Part counts the files of a unit that came one after the other, as when its schema changed; those of one part
// have no order, or are counted by the writer of the table. Parts beyond the last that can be told count as it.
func fileID(schema, part int) uuid.UUID {
	id := uuid.New()
	part = min(part, mostParts-1)
	binary.BigEndian.PutUint16(id[0:], fileIDTag)
	binary.BigEndian.PutUint32(id[2:], uint32(schema))      //nolint:gosec // schema ids count from 0
	binary.BigEndian.PutUint16(id[6:], 0x8000|uint16(part)) //nolint:gosec // below mostParts
	return id
}

// fileIDOf finds the id in a file's name.
func fileIDOf(name string) (uuid.UUID, bool) {
	const length = 36
	for i := 0; i+length <= len(name); i++ {
		id, err := uuid.Parse(name[i : i+length])
		if err == nil && id.Version() == 8 && binary.BigEndian.Uint16(id[0:]) == fileIDTag {
			return id, true
		}
	}
	return uuid.UUID{}, false
}

// schemaOf reads the schema id from a file's name.
func schemaOf(name string) (int, bool) {
	id, ok := fileIDOf(name)
	return int(binary.BigEndian.Uint32(id[2:])), ok
}

// partOf reads the part of a unit from a file's name, 0 where it says none.
func partOf(name string) int {
	id, _ := fileIDOf(name)
	return int(binary.BigEndian.Uint16(id[6:]) % mostParts)
}
