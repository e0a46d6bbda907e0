//! Rival engines live here, in a package of their own, so that nobody who depends on kymo compiles them.
