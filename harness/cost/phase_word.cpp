#include "harness/cost/phase_word.hpp"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

namespace spawnpool::cost {
namespace {

constexpr std::string_view word_name = "spawnpool_phase_word";

// A file in memory. What lies beyond its end is not there: its headers are the file's claims.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status {};
    if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size > 0) {
      size_ = static_cast<std::size_t>(status.st_size);
      memory_ = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    if (fd >= 0) {
      close(fd);
    }
    if (memory_ == MAP_FAILED) {
      size_ = 0;
    }
  }
  ~MappedFile() {
    if (size_ > 0) {
      munmap(memory_, size_);
    }
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  template <class T>
  std::optional<T> read(std::uint64_t offset) const {
    T value;
    if (offset > size_ || size_ - offset < sizeof value) {
      return std::nullopt;
    }
    std::memcpy(&value, static_cast<const std::byte*>(memory_) + offset, sizeof value);
    return value;
  }

  bool has_name(std::uint64_t offset, std::string_view name) const {
    return offset < size_ && size_ - offset > name.size() &&
           std::string_view(static_cast<const char*>(memory_) + offset, name.size() + 1) ==
               std::string_view(name.data(), name.size() + 1);
  }

 private:
  void* memory_ = MAP_FAILED;
  std::size_t size_ = 0;
};

// The place of the word within the program's thread-local storage.
std::optional<std::uint64_t> place_of_word(const MappedFile& file, const Elf64_Ehdr& header) {
  const auto section = [&](std::uint64_t index) {
    return file.read<Elf64_Shdr>(header.e_shoff + index * sizeof(Elf64_Shdr));
  };
  for (std::uint64_t i = 0; i < header.e_shnum; ++i) {
    const auto symbols = section(i);
    // The names of a program that others are to find stay when it is stripped; one that is linked
    // statically has none but its own.
    if (!symbols || (symbols->sh_type != SHT_DYNSYM && symbols->sh_type != SHT_SYMTAB)) {
      continue;
    }
    const auto names = section(symbols->sh_link);
    for (std::uint64_t at = 0; names && at < symbols->sh_size; at += sizeof(Elf64_Sym)) {
      const auto symbol = file.read<Elf64_Sym>(symbols->sh_offset + at);
      if (!symbol) {
        break;
      }
      if (ELF64_ST_TYPE(symbol->st_info) == STT_TLS && symbol->st_shndx != SHN_UNDEF &&
          file.has_name(names->sh_offset + symbol->st_name, word_name)) {
        return symbol->st_value;
      }
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::int64_t> phase_word_offset(const std::string& program) {
  const MappedFile file(program);
  const auto header = file.read<Elf64_Ehdr>(0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64) {
    return std::nullopt;
  }
  const auto place = place_of_word(file, *header);
  for (std::uint64_t i = 0; place && i < header->e_phnum; ++i) {
    const auto segment = file.read<Elf64_Phdr>(header->e_phoff + i * sizeof(Elf64_Phdr));
    if (segment && segment->p_type == PT_TLS && segment->p_align > 0) {
      // It ends at the thread's pointer, as the ABI has it (variant II).
      const std::uint64_t size =
          (segment->p_memsz + segment->p_align - 1) / segment->p_align * segment->p_align;
      return static_cast<std::int64_t>(*place) - static_cast<std::int64_t>(size);
    }
  }
  return std::nullopt;
}

}  // namespace spawnpool::cost
