//! pillarbox
