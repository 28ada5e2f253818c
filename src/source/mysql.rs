//! MySQL 5.7 and later, MariaDB 10.5 and later.
