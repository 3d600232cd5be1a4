package mask

// minDomain is the least number of texts that FF1 may be used for (SP 800-38G revision 1, section 5.1).
const minDomain = 1_000_000
