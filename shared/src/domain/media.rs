//! Files that a channel carries: what kind a file is and how large it may be.
//!
//! Facts: PROTOCOLS 3.1 (audio and video 16 MB, images 5 MB, documents 100 MB, stickers 100 or 500 KB).

use super::message::Attachment;

/// What WhatsApp calls a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    Image,
    Video,
    Audio,
    Sticker,
    Document,
}

const MB: i64 = 1024 * 1024;

impl MediaKind {
    /// The word of the Cloud API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Sticker => "sticker",
            Self::Document => "document",
        }
    }

    /// The largest file, in bytes.
    pub fn bytes_max(self) -> i64 {
        match self {
            Self::Image => 5 * MB,
            Self::Video | Self::Audio => 16 * MB,
            Self::Sticker => 500 * 1024,
            Self::Document => 100 * MB,
        }
    }

    /// Whether a text may stand below it.
    pub fn takes_caption(self) -> bool {
        !matches!(self, Self::Audio | Self::Sticker)
    }

    /// What `attachment` is sent as: by its media type, else by the ending of its name or address. What is neither
    /// picture, sound nor film goes as a document, which may be anything.
    pub fn of(attachment: &Attachment) -> Self {
        let by_type = attachment.media_type.as_deref().and_then(Self::of_type);
        by_type.unwrap_or_else(|| Self::of_ending(ending(attachment).as_deref().unwrap_or_default()))
    }

    fn of_type(media_type: &str) -> Option<Self> {
        let plain = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Some(match plain.as_str() {
            "image/jpeg" | "image/png" => Self::Image,
            "image/webp" => Self::Sticker,
            "video/mp4" | "video/3gpp" => Self::Video,
            "audio/aac" | "audio/amr" | "audio/mpeg" | "audio/mp4" | "audio/ogg" => Self::Audio,
            // A word such as `image` or `file`, as the support desk takes it, says nothing of the format.
            other if !other.contains('/') => return None,
            _ => Self::Document,
        })
    }

    fn of_ending(ending: &str) -> Self {
        match ending {
            "jpg" | "jpeg" | "png" => Self::Image,
            "webp" => Self::Sticker,
            "mp4" | "3gp" => Self::Video,
            "aac" | "amr" | "mp3" | "m4a" | "ogg" | "opus" => Self::Audio,
            _ => Self::Document,
        }
    }
}

/// The name under which a document is shown: the attachment's own, else the last part of its address.
pub fn file_name(attachment: &Attachment) -> Option<String> {
    let named = attachment.name.clone().filter(|name| !name.is_empty());
    named.or_else(|| last_part(&attachment.url)).map(|name| name.chars().take(240).collect())
}

fn last_part(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let last = url.path_segments()?.next_back().unwrap_or_default().to_owned();
    (!last.is_empty()).then_some(last)
}

fn ending(attachment: &Attachment) -> Option<String> {
    let name = file_name(attachment)?;
    let (_, ending) = name.rsplit_once('.')?;
    Some(ending.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(url: &str, media_type: Option<&str>, name: Option<&str>) -> Attachment {
        Attachment {
            media_type: media_type.map(str::to_owned),
            name: name.map(str::to_owned),
            ..Attachment::from_url(url.to_owned())
        }
    }

    #[test]
    fn a_file_is_what_its_type_says_else_its_ending() {
        let cases = [
            ("https://a.example/x.JPG?size=1", None, None, MediaKind::Image),
            ("https://a.example/x.webp", None, None, MediaKind::Sticker),
            ("https://a.example/film", Some("video/mp4; codecs=avc1"), None, MediaKind::Video),
            ("https://a.example/1", None, Some("voice.ogg"), MediaKind::Audio),
            ("https://a.example/x.pdf", None, None, MediaKind::Document),
            ("https://a.example/x.svg", Some("image/svg+xml"), None, MediaKind::Document),
            ("https://a.example/x.png", Some("image"), None, MediaKind::Image),
            ("https://a.example/", None, None, MediaKind::Document),
        ];
        for (url, media_type, name, kind) in cases {
            assert_eq!(MediaKind::of(&file(url, media_type, name)), kind, "{url}");
        }
    }

    #[test]
    fn a_document_has_the_name_it_was_given_or_the_end_of_its_address() {
        assert_eq!(file_name(&file("https://a.example/b/c.pdf?d=e", None, None)).as_deref(), Some("c.pdf"));
        assert_eq!(
            file_name(&file("https://a.example/c", None, Some("Bill.pdf"))).as_deref(),
            Some("Bill.pdf")
        );
        assert_eq!(file_name(&file("https://a.example/", None, None)), None);
    }
}
