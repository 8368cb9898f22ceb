//! The contract's part A, rule by rule, over HTTP on real servers.

mod accounts;
mod audit;
mod edge;
mod external;
mod foreign;
mod notes;
mod openapi;
mod paging;
mod people;
mod permissions;
mod posting;
mod preview;
mod repeats;
mod support;
mod threads;
mod validation;
mod views;
mod webhooks;
